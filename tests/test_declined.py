"""Answers that decline to answer, and answers that only look like it."""

import pytest

from batch.declined import refusal

DECLINED = [
    "I'm sorry, but I can't assist with that.",
    "I’m sorry, but I cannot identify real people.",
    "I'm really sorry, I am unable to help with this request.",
    "Sorry, but I can't do that.",
    "Sorry, I can't provide a description.",
    "I apologize, but I cannot generate that.",
    "My apologies, but this is not possible.",
    "I cannot assist with that request.",
    "I can't help with identifying people.",
    "I'm unable to view images directly.",
    "I am not able to process this image.",
    "Unfortunately, I am unable to describe the image.",
    "I won't describe that.",
    "I must respectfully decline.",
    "As an AI language model, I cannot see images.",
    "As a large language model, I don't have eyes.",
    "As an AI developed by ACME, I do not have access.",
    "I'm just an AI and cannot do that",
    "This image violates our policy.",
    "\"I'm sorry, but I can't assist with that.\"",
    "**I'm sorry**, but I can't",
    "Es tut mir leid, aber ich kann dabei nicht helfen.",
    "Je suis désolé, mais je ne peux pas vous aider.",
    "Lo siento, pero no puedo ayudar con eso.",
    "Desculpe, mas não posso ajudar.",
    "Mi dispiace, ma non posso aiutarti.",
    "Извините, но я не могу помочь.",
    "很抱歉，我无法识别图片中的人物。",
    "抱歉，我不能提供帮助。",
    "申し訳ありませんが、お手伝いできません。",
    "죄송합니다만 도와드릴 수 없습니다.",
    "I'm not comfortable describing this.",
    "I do not feel comfortable describing people.",
    "I'm afraid I can't help with that.",
    "  \n> I'm sorry, but I can't help with that.",
]
ANSWERED = [
    "A woman holds a sign that says \"I'm sorry, but I can't\".",
    "A sorry-looking dog sits in the rain.",
    "Sorry, we're closed: a shop door at night.",
    "As an AI-generated artwork, it shows a castle.",
    "I cannot see any people in this picture; it shows a beach.",
    "I can't believe it's not butter, says the packet.",
    "An apology letter lies on a desk.",
    "The image violates no rule of composition.",
    "A red fox.",
    "In this image I see a cat.",
    "This request form lies on a table.",
    "",
    "I",
    "Sorry",
    "我在图片里看到一只猫。",
    "Ich kann eine Katze sehen.",
    "A long answer. " * 40 + "I'm sorry, but I can't say more.",
]


@pytest.mark.parametrize("text", DECLINED)
def test_an_answer_declines(text):
    assert refusal(text)


@pytest.mark.parametrize("text", ANSWERED)
def test_an_answer_does_not_decline(text):
    assert refusal(text) == ""


def test_the_words_that_decline_are_told():
    assert refusal("“I’m sorry, but I can’t do that.”") == "I'm sorry, but"
