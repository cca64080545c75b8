"""Generated files: golden ones, silent before the rules, accepted by the programs that read them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway.check.files.read import read_files
from gateway.check.validators import validate
from gateway.deploy.generate import DEPLOYMENTS, render, steps
from gateway.errors import ConfigurationError
from gateway.hazards import judge

GOLDEN = Path(__file__).parent / "golden"
SHOP: dict[str, object] = {"application": "shop:app", "name": "shop", "hosts": ["shop.example.com"]}
#: Sets of numbers: the golden ones first.
SETS: dict[str, dict[str, object]] = {
    "default": SHOP,
    "asgi": {**SHOP, "interface": "asgi"},
    "balanced": {
        **SHOP,
        "balancers": ["10.0.0.0/8"],
        "static": "/srv/shop/static",
        "hosts": ["shop.example.com", "*.shop.example.com"],
        "longest_request": 120,
        "drain": 20,
        "max_bytes": 50 * 2**20,
        "metrics_path": "",
        "streams": [],
        "workers": 4,
    },
}
CASES = [
    (deployment, name)
    for deployment, known in DEPLOYMENTS.items()
    for name, values in SETS.items()
    if values.get("interface", "wsgi") in known.interfaces
]


def rendered(deployment: str, name: str) -> dict[str, str]:
    files = render(deployment, SETS[name])
    # The version changes with each release, and nothing else may.
    from gateway._version import __version__

    return {path: text.replace(f"(anytier {__version__})", "(anytier VERSION)") for path, text in files.items()}


@pytest.mark.parametrize("deployment", [d for d in DEPLOYMENTS if d != "uvicorn"])
def test_the_files_are_the_golden_ones(deployment: str) -> None:
    folder = GOLDEN / deployment
    made = rendered(deployment, "default")
    kept = {path.name: path.read_text("utf-8") for path in folder.iterdir()}
    assert made == kept, "look at the change, then: python -m tests.gateway.deploy.write_golden"


@pytest.mark.parametrize(("deployment", "name"), CASES)
def test_generated_files_are_silent(deployment: str, name: str) -> None:
    if deployment != "iis":  # no rule reads its XML
        assert judge(read_files(rendered(deployment, name))) == []


@pytest.mark.parametrize("name", ["default", "balanced"])
def test_all_generated_proxies_and_servers_agree(name: str) -> None:
    for front in ("nginx", "caddy", "haproxy"):
        files = rendered(front, name)
        assert judge(read_files(files)) == []


@pytest.mark.parametrize(
    ("deployment", "name"), [case for case in CASES if case[1] == "default" or case[0] in ("caddy", "haproxy")]
)
def test_the_programs_accept_generated_files(deployment: str, name: str, tmp_path: Path) -> None:
    texts: dict[str, str] = {}
    for path, text in rendered(deployment, name).items():
        (tmp_path / path).write_text(text, "utf-8")
        texts[str(tmp_path / path)] = text
    verdicts = validate(texts)
    assert [verdict for verdict in verdicts if verdict.refused] == []
    assert [verdict for verdict in verdicts if verdict.message and not verdict.missing] == []


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_rendering_twice_gives_the_same_files_with_their_command(deployment: str) -> None:
    values = {**SHOP, "interface": DEPLOYMENTS[deployment].interfaces[0]}
    files = render(deployment, values)
    assert files == render(deployment, dict(reversed(values.items())))
    for text in files.values():
        assert f"Made by: gateway generate {deployment} --set application=shop:app" in text[:300]


def test_a_change_of_one_number_changes_every_value_that_follows() -> None:
    before, after = render("nginx", SHOP), render("nginx", {**SHOP, "longest_request": 100})
    assert "proxy_read_timeout 65s" in before["nginx.conf"]
    assert "proxy_read_timeout 215s" in after["nginx.conf"]
    assert "timeout = 210" in after["gunicorn.conf.py"]
    assert "graceful_timeout = 110" in after["gunicorn.conf.py"]
    assert "TimeoutStopSec=125" in after["shop.service"]


def test_the_way_to_a_running_deployment_has_at_most_six_commands() -> None:
    for name in DEPLOYMENTS:
        values = {**SHOP, "interface": DEPLOYMENTS[name].interfaces[0]}
        assert 1 <= len(steps(name, values, "deploy")) <= 6


NODES: dict[str, object] = {**SHOP, "nodes": ["10.0.0.1:8000", "10.0.0.2:8000"]}


def test_nginx_passes_requests_to_nodes_whose_socket_units_hold_a_port() -> None:
    files = render("nginx", NODES)
    assert "server 10.0.0.1:8000 max_fails=1" in files["nginx.conf"]
    assert "server 10.0.0.2:8000 max_fails=1" in files["nginx.conf"]
    assert "unix:/" not in files["nginx.conf"]
    assert "ListenStream=8000" in files["shop.socket"]
    assert judge(read_files(files)) == []
    assert [step.rpartition("  # ")[2] for step in steps("nginx", NODES, "deploy")[1:]] == [
        *["on each node"] * 3,
        *["on each NGINX"] * 2,
    ]


@pytest.mark.parametrize(
    ("deployment", "nodes", "message"),
    [
        ("caddy", ["10.0.0.1:8000"], "caddy has no nodes"),
        ("nginx", ["10.0.0.1:9000"], "port is 8000"),
        ("nginx", ["10.0.0.1"], "port is 8000"),
    ],
)
def test_nodes_that_a_deployment_does_not_have_are_an_error(deployment: str, nodes: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        render(deployment, {**SHOP, "nodes": nodes})


def test_a_proxy_without_tls_gets_no_certificate() -> None:
    assert any("openssl" in step and "-keyout" in step for step in steps("nginx", SHOP, "deploy"))
    inside = {**SHOP, "tls": False, "balancers": ["10.0.0.0/8"]}
    assert not any("-keyout" in step for step in steps("nginx", inside, "deploy"))


def test_a_wsgi_application_has_no_uvicorn() -> None:
    with pytest.raises(ConfigurationError, match="uvicorn calls asgi applications"):
        render("uvicorn", SHOP)


def test_a_django_project_without_an_own_object_is_possible_under_gunicorn_only() -> None:
    project = 'gateway.django:get_application("mysite.settings")'
    conf = render("nginx", {**SHOP, "application": project})["gunicorn.conf.py"]
    assert r'wsgi_app = "gateway.django:get_application(\"mysite.settings\")"' in conf
    with pytest.raises(ConfigurationError, match="name the Gateway in a module"):
        render("granian", {**SHOP, "application": project})


def test_an_unknown_deployment_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="choose one of"):
        render("nginks", SHOP)


@pytest.mark.skipif(
    shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None, reason="haproxy is not installed"
)
def test_a_program_refuses_a_wrong_file(tmp_path: Path) -> None:
    (tmp_path / "haproxy.cfg").write_text("frontend f\n    bind :80\n    timeout client banana\n")
    verdicts = validate({str(tmp_path / "haproxy.cfg"): (tmp_path / "haproxy.cfg").read_text()})
    assert [verdict.refused for verdict in verdicts] == [True]


def test_a_misspelled_setting_of_gunicorn_is_found(tmp_path: Path) -> None:
    file = tmp_path / "gunicorn.conf.py"
    file.write_text("bind = '127.0.0.1:8000'\nkeep_alive = 75\n")
    [verdict] = validate({str(file): file.read_text()})
    assert verdict.refused
    assert "did you mean keepalive" in verdict.message


def test_a_misplaced_key_of_systemd_is_found(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    file = tmp_path / "shop.service"
    file.write_text("[Unit]\nDescription=x\nTimeoutStopSec=5\n[Service]\nExecStart=/bin/true\n")
    [verdict] = validate({str(file): file.read_text()})
    assert verdict.refused
    assert "TimeoutStopSec" in verdict.message
