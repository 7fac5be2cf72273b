"""`assay serve`: runs the service."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.terminal import ConfigOption, refuse
from app.http import log
from app.settings import SettingsError, load_settings
from verifiers.base import SpecError


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port; 0 takes a free one. [default: 8000]")
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(help="debug, info, warning or error. [default: info]")
    ] = None,
    config: ConfigOption = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Serve other machines without API keys.")
    ] = False,
    until_stdin_closes: Annotated[
        bool,
        typer.Option("--until-stdin-closes", hidden=True, help="End with whoever started it."),
    ] = False,
) -> None:
    """Run the service. It prints its address once it is ready.

    Settings come from these options, else from ASSAY_... variables, else from the file.
    Without API keys only this machine is served.
    """
    from app.http.server import serve as serve_app
    from app.main import create_app

    try:
        settings = load_settings(
            config, host=host, port=port, log_level=log_level, insecure=insecure or None
        )
        if settings.exposed:
            raise SettingsError(
                f"{settings.host} is reachable from other machines and no API key is set. "
                "Set ASSAY_API_KEYS, or pass --insecure if a proxy keeps strangers out."
            )
        log.configure(settings.log_level)
        service = create_app(settings)
    except (SettingsError, SpecError) as error:
        raise refuse(str(error)) from None
    serve_app(service, settings, until_stdin_closes=until_stdin_closes)
