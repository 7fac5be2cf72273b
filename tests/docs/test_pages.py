"""The pages of the HTTP interface come from the service, and so does all that they load."""

from __future__ import annotations

import re

import pytest

from tests.app.conftest import in_process


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_a_page_names_no_other_host_and_what_it_loads_is_there(page: str) -> None:
    with in_process() as client:
        html = client.get(page).text
        assert re.findall(r"(?:https?:)?//\w[^\s\"']*", re.sub(r"<!--.*?-->", "", html)) == []
        loaded = re.findall(r"(?:src|href|spec-url)=\"(/[^\"]+)\"|url: '([^']+)'", html)
        assert len(loaded) >= 2
        for path in filter(None, (path for pair in loaded for path in pair)):
            assert client.get(path).status_code == 200, path


def test_swagger_ui_has_nobody_else_look_at_the_document() -> None:
    with in_process() as client:
        assert '"validatorUrl": null' in client.get("/docs").text


def test_redoc_loads_its_logo_from_the_service() -> None:
    with in_process() as client:
        script = client.get("/redoc/redoc.standalone.js").text
        assert "cdn." not in script
        assert client.get("/redoc/logo-mini.svg").status_code == 200


def test_behind_a_prefix_the_pages_load_from_there() -> None:
    with in_process() as client:
        client.app.root_path = "/assay"  # type: ignore[attr-defined]
        html = client.get("/docs").text
    assert '"/assay/docs/swagger-ui-bundle.js"' in html
    assert "url: '/assay/openapi.json'" in html
