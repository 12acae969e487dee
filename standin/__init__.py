"""A local server that imitates the model providers, including their failures.

    from standin import Fault, StandIn

    with StandIn("429|500|reset|html:rate=0.3,seed=7") as server:
        server.base_url("openai")       # http://127.0.0.1:…/openai/v1
        server.key("openai")            # the key it accepts
        server.environment()            # {"OPENAI_API_KEY": …, …} for coevol's own process
        …
        server.order("no_balance")      # replace the faults from here on
        server.order()                  # no faults
        server.requests                 # every request as a standin.app.Request
        server.chats("openai")          # only the chat requests to one provider

It serves the protocols of OpenAI, GLM, Qianfan V2 (`ernie`), Wenxin V1 (`wenxin`) and vLLM on one port,
rejects what the real APIs reject, replies as coevol's agents based on the request text alone, and injects
faults on demand (`standin.faults`). All other settings are keyword arguments, described in
`standin.options.Options`: `StandIn(slots=8, latency=0.5, context=4096)`. When the server's CPU time must not
affect a measurement, use `StandIn(own_process=True)`, or run `python -m standin` by hand (see `--help`).

Faults with a rate depend on a request's content and attempt number, so every run meets the same faults and
every request eventually succeeds; `StandIn(f"{RETRYABLE}:rate=0.3")` injects every retryable kind. A fault
with `nth=100-` hits the hundredth request and all later ones, like a balance that runs out.

Not supported: streaming, several replies per request, tools, images, TLS.
"""

from standin.app import Request
from standin.faults import KINDS, RETRYABLE, Fault, FaultError
from standin.server import StandIn

__all__ = ["KINDS", "RETRYABLE", "Fault", "FaultError", "Request", "StandIn"]
