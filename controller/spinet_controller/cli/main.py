"""Where `spinet-controller` starts: exit codes, and nothing that takes time to import."""

import sys

INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit: 0 well, 1 failed, 2 wrong usage, 130 interrupted."""
    try:
        code = _run()
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code)


def _run() -> int:
    from spinet_controller.errors import ExtraMissing
    from spinet_controller.extras import extra

    try:
        with extra("cli"):
            import click

            from spinet_controller.cli.program import program
    except ExtraMissing as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    try:
        return program(standalone_mode=False) or 0
    except click.Abort:
        return INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        click.echo(f"error: {error.format_message()}", err=True)
        return error.exit_code
