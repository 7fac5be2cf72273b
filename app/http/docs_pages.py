"""`/docs` (Swagger UI) and `/redoc`, from assets of a package: no browser is sent elsewhere.

FastAPI's own pages load both from a CDN, which a training cluster rarely reaches.
"""

from __future__ import annotations

from pathlib import Path

import fastapi_standalone_docs
from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

ASSETS = Path(fastapi_standalone_docs.__file__).parent / "static"

NO_ICON = "data:,"
NO_VALIDATOR = {"validatorUrl": None}
"""Swagger UI would have a service of its makers look at the document."""


def install(app: FastAPI) -> None:
    def at(request: Request, path: str) -> str:
        """The address of `path` behind whatever prefix a proxy strips."""
        root: str = request.scope.get("root_path", "")
        return root.rstrip("/") + path

    @app.get("/docs", include_in_schema=False)
    async def swagger_ui(request: Request) -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url=at(request, "/openapi.json"),
            title=app.title,
            swagger_js_url=at(request, "/docs/swagger-ui-bundle.js"),
            swagger_css_url=at(request, "/docs/swagger-ui.css"),
            swagger_favicon_url=NO_ICON,
            swagger_ui_parameters=NO_VALIDATOR,
        )

    @app.get("/redoc", include_in_schema=False)
    async def redoc(request: Request) -> HTMLResponse:
        return get_redoc_html(
            openapi_url=at(request, "/openapi.json"),
            title=app.title,
            redoc_js_url=at(request, "/redoc/redoc.standalone.js"),
            redoc_favicon_url=NO_ICON,
            with_google_fonts=False,
        )

    app.mount("/docs", StaticFiles(directory=ASSETS / "swagger"))
    app.mount("/redoc", StaticFiles(directory=ASSETS / "redoc"))
