"""A server on this machine that stands in for the model providers, in fair weather and foul.

    from standin import Fault, StandIn

    with StandIn("429|500|reset|html:rate=0.3,seed=7") as server:
        server.base_url("openai")       # http://127.0.0.1:…/openai/v1
        server.key("openai")            # the key it accepts
        server.environment()            # {"OPENAI_API_KEY": …, …} for coevol's own process
        …
        server.order("no_balance")      # from now on
        server.order()                  # fair weather
        server.requests                 # every request: see standin.app.Request
        server.chats("openai")          # those to a model

It speaks the protocols of OpenAI, GLM, Qianfan V2 (`ernie`), Wenxin V1 (`wenxin`) and vLLM side by side,
refuses what the real ones refuse, answers as an agent of this project would, from the request's text alone,
and lets things go wrong to order (`standin.faults`). Everything else that can be set is in
`standin.options.Options`, by keyword: `StandIn(slots=8, latency=0.5, context=4096)`. Where its work must not
slow down what is measured, `StandIn(own_process=True)` does the same from another process; by hand that is
`python -m standin` (`--help`).

A fault at a rate is drawn from a request's content and its attempt, so a run meets the same faults each time,
and every request gets through in the end; `StandIn(f"{RETRYABLE}:rate=0.3")` is everything that can be tried
again. A fault `nth=100-` hits every request from the hundredth on: a balance that runs out.

What it does not cover: streaming, several replies to a request, tools, images, TLS.
"""

from standin.app import Request
from standin.faults import KINDS, RETRYABLE, Fault, FaultError
from standin.server import StandIn

__all__ = ["KINDS", "RETRYABLE", "Fault", "FaultError", "Request", "StandIn"]
