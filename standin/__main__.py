"""`python -m standin`: the stand-in as a server in a process of its own."""

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


@click.command(epilog=f"Faults: {', '.join(KINDS)}. Those worth trying again: {RETRYABLE}")
@click.option("--port", default=8123, show_default=True, help="Where it listens on 127.0.0.1; 0 for any.")
@click.option(
    "--provider",
    "shown",
    type=click.Choice(list(_EXAMPLES)),
    multiple=True,
    help="Whose example is printed; all are served. Default: each.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    callback=_faults,
    metavar="KIND[:NAME=VALUE,…]",
    help="What goes wrong, for instance 429:rate=0.3,seed=7 or hang:word=poem or no_balance:nth=100-. "
    "Several times: the first that hits.",
)
@click.option("--latency", default=0.0, metavar="SECONDS", help="How long a reply takes (the median).")
@click.option("--latency-sigma", default=0.0, help="The sigma of its lognormal spread.")
@click.option("--rps", "requests_per_second", type=float, help="Requests a second; 429 above.")
@click.option("--tpm", "tokens_per_minute", type=int, help="Tokens a minute; 429 above.")
@click.option("--slots", type=int, help="Requests worked on at a time; the others wait.")
@click.option("--max-num-queued-reqs", "max_queued", type=int, help="vLLM: requests in all; 503 above.")
@click.option("--context", type=int, metavar="TOKENS", help="The context length of all models.")
@click.option("--wins", default=0.6, show_default=True, help="The share of comparisons the draft wins.")
@click.option("--points", default=0, help="The most points that a debater makes, each in a line.")
@click.option("--vllm-key", default="", help="The key that vLLM asks for.")
@click.option("--token-life", default=2_592_000.0, help="Wenxin V1: seconds that a token is good for.")
@click.option("--log", default="", metavar="FILE", help="Write a line of JSON for each request.")
def main(port: int, shown: tuple[str, ...], **options: object) -> None:
    """Stand in for the model providers on this machine.

    No key, no cost, and texts that are no improvement.
    """
    app = App(Options(keep=False, **options))  # type: ignore[arg-type]
    try:
        listener = listen(port)
    except OSError as error:
        raise click.ClickException(f"cannot listen on port {port}: {error.strerror}") from None
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    click.echo(f"The stand-in listens on {url}; Ctrl-C stops it. For example:")
    for name in shown or _EXAMPLES:
        provider = app.provider(name)
        key = "" if provider.key == "none" else f"{KEY_VARIABLES[name]}={provider.key} "
        click.echo(
            f"  {key}coevol evolve examples/alpaca_en.json -o runs/{name} "
            f"--model {_EXAMPLES[name]} --base-url {url}{provider.base_url}"
        )
    if not shown:
        click.echo(f"  Wenxin V1: {url}/wenxin, client id and secret {app.provider('wenxin').key}")
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    with suppress(KeyboardInterrupt):
        Server(app).run([listener])


if __name__ == "__main__":
    main()
