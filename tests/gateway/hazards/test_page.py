from pathlib import Path

from gateway.hazards.page import deployment_rules

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "deployment-rules.md"


def test_the_page_is_what_the_tables_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == deployment_rules(), (
        "run: python -m gateway.hazards > docs/reference/deployment-rules.md"
    )
