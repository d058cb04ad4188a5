"""Secrets in somebody else's words."""

from batch.providers.redact import redacted, secret_forms


def test_a_secret_is_found_in_every_form_in_which_it_is_echoed():
    key = "sk-a/b+c=d e"
    forms = secret_forms(key)
    text = f"{key} sk-a%2Fb%2Bc%3Dd%20e c2stYS9iK2M9ZCBl said"
    assert redacted(text, forms) == "[key] [key] [key] said"


def test_no_key_is_no_secret():
    assert secret_forms("") == ()
    assert redacted("as it is", ()) == "as it is"
