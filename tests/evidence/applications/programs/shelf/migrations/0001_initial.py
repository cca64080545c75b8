from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = ()
    operations = (
        migrations.CreateModel(
            name="Book",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("title", models.CharField(max_length=100)),
                ("pages", models.PositiveIntegerField(default=1)),
                ("text", models.FileField(blank=True, upload_to="books")),
            ],
            options={"ordering": ("title",)},
        ),
    )
