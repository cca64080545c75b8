"""``python -m tests.gateway.deploy.write_golden``: write the golden files anew, to look at the change in git."""

from tests.gateway.deploy.test_generate import DEPLOYMENTS, GOLDEN, rendered

if __name__ == "__main__":
    for deployment in DEPLOYMENTS:
        if deployment != "uvicorn":
            (GOLDEN / deployment).mkdir(parents=True, exist_ok=True)
            for name, text in rendered(deployment, "default").items():
                (GOLDEN / deployment / name).write_text(text, "utf-8")
