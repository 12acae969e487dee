"""`python -m standin`: run the stand-in server in its own process."""

import signal
from contextlib import suppress

import click

from standin.app import App
from standin.faults import KINDS, RETRYABLE, Fault, FaultError
from standin.options import Options
from standin.server import KEY_VARIABLES, Server, listen

_EXAMPLES = {
    "openai": "openai:gpt-4.1-mini",
    "glm": "glm:glm-4.6",
    "ernie": "ernie:ernie-4.5-turbo-128k",
    "vllm": "vllm:standin",
}


def _faults(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> tuple[Fault, ...]:
    try:
        return tuple(Fault.parse(text) for text in texts)
    except FaultError as error:
        raise click.BadParameter(str(error)) from None


@click.command(epilog=f"Fault kinds: {', '.join(KINDS)}. All retryable kinds: {RETRYABLE}")
@click.option("--port", default=8123, show_default=True, help="Port on 127.0.0.1; 0 picks a free one.")
@click.option(
    "--provider",
    "shown",
    type=click.Choice(list(_EXAMPLES)),
    multiple=True,
    help="Print an example for this provider only (repeatable). All providers are served either way.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    callback=_faults,
    metavar="KIND[:NAME=VALUE,…]",
    help="Inject a fault, e.g. 429:rate=0.3,seed=7 or hang:word=poem or no_balance:nth=100-. "
    "Repeatable; the first match applies.",
)
@click.option("--latency", default=0.0, metavar="SECONDS", help="Median time to reply.")
@click.option("--latency-sigma", default=0.0, help="Sigma of the lognormal latency distribution.")
@click.option("--rps", "requests_per_second", type=float, help="Requests per second before 429.")
@click.option("--tpm", "tokens_per_minute", type=int, help="Tokens per minute before 429.")
@click.option("--slots", type=int, help="Requests processed at once; the rest wait.")
@click.option("--max-num-queued-reqs", "max_queued", type=int, help="vLLM: running and waiting before 503.")
@click.option("--context", type=int, metavar="TOKENS", help="Context length of every model.")
@click.option("--wins", default=0.6, show_default=True, help="Share of comparisons the draft wins.")
@click.option("--points", default=0, help="Maximum points a debater makes, one per line.")
@click.option("--vllm-key", default="", help="Key that vLLM requires.")
@click.option("--token-life", default=2_592_000.0, help="Wenxin V1: access token lifetime in seconds.")
@click.option("--log", default="", metavar="FILE", help="Append one JSON line per request to this file.")
def main(port: int, shown: tuple[str, ...], **options: object) -> None:
    """Run a local server that imitates the model providers.

    It needs no real API key and costs nothing. Its replies do not improve any text.
    """
    app = App(Options(keep=False, **options))  # type: ignore[arg-type]
    try:
        listener = listen(port)
    except OSError as error:
        raise click.ClickException(f"cannot listen on port {port}: {error.strerror}") from None
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    click.echo(f"Stand-in server listening on {url}; press Ctrl-C to stop. Examples:")
    for name in shown or _EXAMPLES:
        provider = app.provider(name)
        key = "" if provider.key == "none" else f"{KEY_VARIABLES[name]}={provider.key} "
        click.echo(
            f"  {key}coevol evolve examples/alpaca_en.json -o runs/{name} "
            f"--model {_EXAMPLES[name]} --base-url {url}{provider.base_url}"
        )
    if not shown:
        click.echo(f"  Wenxin V1: {url}/wenxin, client ID and secret {app.provider('wenxin').key}")
        others = app.provider("compatible")
        click.echo(f"  OpenAI-compatible servers: {url}{others.base_url}, models {', '.join(others.models)}")
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    with suppress(KeyboardInterrupt):
        Server(app).run([listener])


if __name__ == "__main__":
    main()
