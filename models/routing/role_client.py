"""The model of one role at one endpoint, and how its requests are shaped."""

from http import HTTPStatus
from typing import Any

from langchain_core.language_models import BaseChatModel

from models.call import Call, Message
from models.errors.classify import refusal_text
from models.errors.parameters import sent_with
from models.providers.dialect import refuses_system_role
from models.providers.message_roles import alternating, without_system
from models.providers.openai_chat import ChatCompletions
from models.providers.parameters import Parameters, is_openai_itself, sampling
from models.providers.reply_forms import FormServer, form_fields
from models.routing.endpoint_state import EndpointState
from models.routing.startup_check import StartupCheck


class RoleClient:
    """The way of one role to one endpoint.

    Args:
        model: the chat model.
        state: the endpoint's.
        identity: what identifies the role's requests besides the parameters of each call
            (`models.providers.parameters.identity`).
        body: further fields of its requests; None where the endpoint cannot hold a reply to a form.
        key: the variable with the key that it sends.
        drafts: the parameters of several drafts from one prompt.
    """

    def __init__(
        self,
        model: BaseChatModel,
        state: EndpointState,
        identity: list[Any],
        body: dict[str, Any] | None,
        key: str | None,
        drafts: Parameters,
    ) -> None:
        self.endpoint = state.endpoint
        self.model = model
        self.state = state
        self.identity = identity
        self.key = key
        self.startup = StartupCheck()
        self._body = body
        self._drafts = drafts
        if isinstance(model, ChatCompletions):
            model.speak(state.dialect)

    def form(self, call: Call) -> dict[str, str] | None:
        """Return what identifies the request by the form of its reply.

        Only vLLM is known to take forms before it is asked. What is found out of other servers does not
        identify requests, or a resumed run would not find its calls.
        """
        if call.form is None or self._body is None or self.endpoint.provider != "vllm":
            return None
        return {"regex": call.form}

    def fields(self, call: Call) -> dict[str, Any]:
        """Return what the model is given besides the messages."""
        if self.endpoint.provider == "rehearsal":
            return {"purpose": call.purpose, "role": call.role, "draft": call.draft}
        if self.endpoint.provider == "reward":
            return {}
        if call.draft is not None:
            return sampling(self._drafts, call.draft)
        server = self.form_server
        if call.form is None or self._body is None or server is None or not self.state.accepts_forms:
            return {}
        return {"extra_body": {**self._body, **form_fields(server, call.form)}}

    @property
    def form_server(self) -> FormServer | None:
        """How this server holds replies to a form; None where it does not, or it is not known yet."""
        if self.endpoint.provider == "vllm":
            return "vllm"
        return "openai" if is_openai_itself(self.endpoint) else self.state.context.form_server

    def shape(self, messages: list[Message]) -> list[Message]:
        """Return the messages as this endpoint takes them."""
        shaped = alternating(messages)
        return shaped if self.state.accepts_system_role else without_system(shaped)

    def adapt(self, error: Exception, sent: list[Message], *, with_form: bool) -> bool:
        """Whether the error refuses the form of the request; those that follow have another from now on.

        Each of several calls in flight sees such an error and is to be sent again.
        """
        refusal = refusal_text(error)
        if not refusal:
            return False
        if any(m["role"] == "system" for m in sent) and refuses_system_role(refusal):
            self.state.accepts_system_role = False
            return True
        is_bad_request = getattr(error, "status_code", None) == HTTPStatus.BAD_REQUEST
        if with_form and is_bad_request and any(phrase in refusal.lower() for phrase in _NO_FORMS):
            self.state.accepts_forms = False
            return True
        body = sent_with(error)
        return body is not None and self.state.dialect.learn(refusal, body)


_NO_FORMS = ("structured", "regex", "grammar", "guided", "response_format", "json_schema", "pattern")
"""What a server says that cannot hold replies to a form: vLLM without a tokenizer, a backend that cannot
compile the form, a gateway that does not know the field."""
