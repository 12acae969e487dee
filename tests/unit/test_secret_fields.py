"""What is taken for a key in addresses, names of fields and commands, and what stays readable."""

import pytest

from models.addresses import shown_address
from models.secret_fields import (
    is_secret_name,
    masked_command,
    masked_command_like,
    salted_mask,
    secrets_in,
    without_secrets,
)
from models.settings import ModelSettings, secrets_in_addresses

UUID = "550e8400-e29b-41d4-a716-446655440000"


@pytest.mark.parametrize(
    "key",
    [
        "Zq7hT9vXw2LmB4nC",
        UUID,
        "abcdefghijklmnop",
        "123456789012",
        "ab12cd34",
        "aBcDeFgH",
        "a%2Bb",
        "k_3-4f5g6h7",
    ],
)
def test_keys_in_a_path_are_masked(key: str) -> None:
    assert shown_address(f"http://h:1/{key}/v1") == "http://h:1/…/v1"
    assert key not in shown_address(f"http://h:99999/v1/{key}?{key}#{key}")
    assert shown_address(f"http://h/v1?api-version=1#{key}") == "http://h/v1?api-version=1#…"


@pytest.mark.parametrize("key", ["Zq7hT9vXw2LmB4nC", UUID])
def test_a_key_is_no_name_of_a_deployment(key: str) -> None:
    assert shown_address(f"https://h/openai/deployments/{key}") == "https://h/openai/deployments/…"
    settings = ModelSettings(model="openai:m", base_url=(f"https://h/{key}/v1",))
    assert set(secrets_in_addresses(settings)) == {key}


@pytest.mark.parametrize(
    "url",
    [
        "https://r.openai.azure.com/openai/deployments/gpt-4o?api-version=2024-10-21-preview",
        "https://h/openai/deployments/my-deployment",
        "https://h/openai/deployments/gpt-4o-mini-2024-07-18",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "https://dashscope.aliyuncs.com/compatible-mode/v1",
        "https://open.bigmodel.cn/api/paas/v4",
        "http://[::1]:8000/serving/gpu0/v1",
        "http://localhost:8000/v1",
    ],
)
def test_honest_addresses_stay(url: str) -> None:
    assert shown_address(url) == url
    assert not list(secrets_in_addresses(ModelSettings(model="openai:m", base_url=(url,))))


@pytest.mark.parametrize(
    "name",
    [
        "ak",
        "sk",
        "pass",
        "pw",
        "pin",
        "otp",
        "passcode",
        "session",
        "sessionid",
        "sid",
        "access_key_id",
        "accessKeyId",
        "key1",
        "api_key_2",
        "apikeys",
        "keys",
        "tokens",
        "api_tokens",
        "credential_json",
        "credentials",
        "user_token_value",
        "login",
        "license",
        "密钥",
        "用户密码",
        "口令",
        "api_key",
        "X-Auth",
        "APIKey",
        "client_secret",
        "end_user_token",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name) and list(secrets_in({name: UUID})) == [UUID]
    assert not list(secrets_in({name: 7, "schema": {name: {"type": "string"}}}))
    assert UUID not in without_secrets(f'{{"{name}": "{UUID}"')


@pytest.mark.parametrize(
    "name",
    [
        "max_tokens",
        "maxTokens",
        "min_tokens",
        "token_budget",
        "top_k",
        "seed",
        "stop",
        "stop_token",
        "presence_penalty",
        "key_frames",
        "eos_token",
        "skip_special_tokens",
        "model",
        "chat_template",
        "Content-Type",
        "tokenizer",
        "monkey",
        "bypass",
        "user_id",
    ],
)
def test_names_of_parameters(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("python c.py --token abc --n 3", "python c.py --token … --n 3"),
        ("c --api-key='a b' x", "c --api-key=… x"),
        ("API_KEY=abc c --flag", "API_KEY=… c --flag"),
        (f"c {UUID}", "c …"),
        ("sh -c 'c --token abc'", "sh -c …"),
        ("c --token --verbose x", "c --token --verbose x"),
        ("run --max-tokens 5 exact.py", "run --max-tokens 5 exact.py"),
    ],
)
def test_keys_in_a_command(command: str, shown: str) -> None:
    assert masked_command(command) == shown
    mask = salted_mask("salt")
    recorded = masked_command(command, mask)
    assert masked_command_like(recorded, command, mask) == recorded
    assert masked_command_like(command, command, mask) == command
    other = command.replace("abc", "xyz")
    assert other == command or masked_command_like(recorded, other, mask) != recorded
