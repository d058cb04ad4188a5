"""The offline provider: pieces of texts that are written here."""

from __future__ import annotations

import contextlib
import time

import pytest

from batch.errors import Rejected
from batch.models import Message, Request
from batch.providers.connection import Connection
from batch.providers.offline import Offline
from batch.providers.offline.extract import extract, pieces
from batch.providers.offline.order import read
from batch.providers.offline.patterns import FOUND, REACH, WINDOW, hits
from batch.providers.offline.phrases import NOUNS

TEXT = """The Harbour Bridge opens again

Dr. Alice Moreau reopened the old harbour bridge in Lisbon on 2 May 2019. The bridge had been \
closed for repairs since January 12, 2017, and the repairs cost $4.5 million. "We waited a long \
time for this," said Tom van Dijk, who runs a bakery near the bridge. Would the traffic come back? \
The city expects 12,000 cars a day, or 15 % more than before. Write to bridge@city.example.org or \
call +351 21 123 4567; details are on https://city.example.org/bridge_(new). A report follows on \
2020-01-31.
"""


@pytest.fixture
async def client():
    completer = Offline().connect(Connection())
    yield completer
    await completer.close()


async def test_a_text_is_answered_with_extracted_pieces(client):
    messages = (Message("system", "List the e-mail addresses."), Message("user", TEXT))
    reply = await client.complete(Request("facts-1", messages))
    assert (reply.source, reply.text) == ("extracted", "bridge@city.example.org")


async def test_a_prompt_without_text_or_image_is_unsupported(client):
    with pytest.raises(Rejected, match="--provider NAME") as caught:
        await client.complete(Request("facts-1", (Message("user", "Write a poem."),)))
    assert caught.value.code == "unsupported"


@pytest.mark.parametrize(
    ("order", "pieces"),
    [
        ("Extract every e-mail address:", "bridge@city.example.org"),
        ("Find the URLs:", "https://city.example.org/bridge_(new)"),
        ("Which dates are mentioned?", "2 May 2019\nJanuary 12, 2017\n2020-01-31"),
        ("List the amounts:", "$4.5 million"),
        ("Get the phone numbers.", "+351 21 123 4567"),
        ("List the names:", "Harbour Bridge, Dr. Alice Moreau, Lisbon, Tom van Dijk"),
        ("Give me 2 keywords:", "Bridge, Harbour"),
        ("What is the title?", "The Harbour Bridge opens again"),
        ("Extract the questions.", "Would the traffic come back?"),
        ("Find the longest quote:", '"We waited a long time for this,"'),
        ("List prices and questions:", "$4.5 million\nWould the traffic come back?"),
    ],
)
def test_each_kind_of_piece_is_taken_word_for_word(order, pieces):
    assert extract([f"{order}\n{TEXT}"]) == pieces


def test_numbers_are_taken_with_their_percent_sign():
    found = extract([f"Extract all numbers:\n{TEXT}"]).split("\n")
    assert {"12,000", "15 %", "4.5"} <= set(found)


@pytest.mark.parametrize(
    ("order", "wanted"),
    [
        ("Summarise in one sentence:", 1),
        ("Summarize this.", 2),
        ("The 3 key sentences, tl;dr:", 3),
        ("Write a short summary:", 2),
        ("Here is the text:", 2),
    ],
)
def test_a_summary_is_so_many_sentences_in_their_order(order, wanted):
    lines = extract([f"{order}\n\n{TEXT}"]).split("\n")
    places = [TEXT.index(line) for line in lines]
    assert len(lines) == wanted
    assert places == sorted(places)


PLACES = """List the dates./```/{}/``` | List the dates: "{}" | ```text/{}/```/List the dates.
{}//Please list the dates. | List the dates./One per line.//Text: {} | List dates: {}"""


@pytest.mark.parametrize("prompt", PLACES.replace("\n", " | ").split(" | "))
def test_the_text_is_found_wherever_it_stands(prompt):
    plain_text = TEXT.replace('"', "'")
    found = extract([prompt.replace("/", "\n").format(plain_text)])
    assert found == "2 May 2019\nJanuary 12, 2017\n2020-01-31"


BEYOND = """Translate into German: | What is the sentiment? | Explain this text: | Hello.
Why was it closed? | Rewrite the text. | Summarise in French: | List the names as JSON:
How many dates are there? | Write a story with these names: | Which date is the latest?
Answer the questions: | Find names and translate them: | Count the dates. | Compare the dates."""


@pytest.mark.parametrize("order", BEYOND.replace("\n", " | ").split(" | "))
def test_what_takes_a_model_is_unsupported(order):
    with pytest.raises(Rejected, match="offline has no model") as caught:
        extract([f"{order}\n\n{TEXT}"])
    assert caught.value.code == "unsupported"


@pytest.mark.parametrize(
    "prompt", ["", "Summarise this.", "List the dates:", TEXT, "Summarise: hm"]
)
def test_a_prompt_without_order_or_text_is_unsupported(prompt):
    with pytest.raises(Rejected, match="offline has no model"):
        extract([prompt])


def test_an_order_about_the_world_is_not_taken_for_one_about_a_text():
    with pytest.raises(Rejected, match="offline has no model"):
        extract([f"List the key points of the French Revolution.\n\n{TEXT}"])
    with_system = ["You answer for the Acme company.", f"List the dates of the report.\n\n{TEXT}"]
    with pytest.raises(Rejected, match="offline has no model"):
        extract(with_system)
    assert extract(["You work for Acme.", f"List the dates.\n\n{TEXT}"]).startswith("2 May 2019")


def test_an_order_after_the_text_is_found():
    assert extract([f"{TEXT}\n\nSummarise in one sentence."]).startswith("Dr. Alice Moreau")


def test_shouting_and_sentence_starts_are_no_names():
    text = "NO WARRANTY OF ANY KIND. Yesterday we met Ann Lee in Oslo. Bob Ray came late. "
    assert extract([f"List the names:\n{text * 2}"]) == "Ann Lee, Oslo, Bob Ray"


def test_nothing_found_is_said_and_not_filled_in():
    with pytest.raises(Rejected, match="holds nothing"):
        extract(["Extract the e-mail addresses:\n" + "No address stands here. " * 9])


def test_other_scripts_are_summarised_too():
    text = "橋は再び開かれた。町の人々は長い間この橋を待っていた。橋の修理には四百万かかった。"
    assert extract([f"Summarise in one sentence:\n{text * 1}{'橋は町にある。' * 20}"]).endswith(
        "。"
    )


def refused(order, text=TEXT):
    with pytest.raises(Rejected) as caught:
        extract([f"{order}\n\n{text}"])
    return caught.value.code == "unsupported"


SHORT = """List the dates. | Am 9. März 2025 und am 1. Dez. 2024 | 9. März 2025, 1. Dez. 2024
List the dates. | du 5 au 19 août, le 1er mai 2025 | 5 au 19 août, 1er mai 2025
List the dates. | El 3 de mayo de 2024 | 3 de mayo de 2024
List the amounts. | 1.250,00 Euro, 1 250,50 € et 3 Mio. EUR | 1.250,00 Euro/1 250,50 €/3 Mio. EUR
List the times of day. | at 21:48, 9 am and half past five | 21:48, 9 am, half past five
List the times. | um 14.30 Uhr, à 8h15, version 2.30 | 14.30 Uhr, 8h15
List the IP addresses. | 192.0.2.1, 300.1.1.1, 06:14:02 and 2001:db8::1 | 192.0.2.1, 2001:db8::1
List the ingredients with their amounts: | 250 g of rye, 2 eggs; 9 minutes | 250 g of rye, 2 eggs
List the version numbers. | Version 2.4.0 mends v1.9, not 3.1 | 2.4.0, v1.9
List the serial numbers. | Room 9001. The serial numbers are HT-55081 and HT-7. | HT-55081, HT-7
List all numbers. | 3 rang +44 1632 960118 on 2020-01-31 | 3, +44 1632 960118, 2020-01-31
Who wrote this? | From: Ann Lee <ann@example.org>/To: bob@example.org | Ann Lee <ann@example.org>
Which lines report an error? List them: | INFO ok/ERROR disk/read error | ERROR disk/read error
List the IP addresses that were refused: | 192.0.2.1 accepted/refused 192.0.2.9 | 192.0.2.9
List the version numbers and their dates: | Version 2.4 of 1 May 2024 mends it. | 2.4 of 1 May 2024
List all prices and say what each one is for: | A day is €18, a week €84. | A day is €18/a week €84
Name the dates, one per line. | 1 May 2024 and 2 May 2024 | 1 May 2024/2 May 2024
List the names, comma-separated. | Ann Lee and Bo Ek. Friday we met Cy. | Ann Lee, Bo Ek, Cy
List the names. | Wir sahen die Frau im Garten, und Katharina Vogel kam auch. | Katharina Vogel
List the people. | We met Ann Lee in Oslo, near Park Road. | Ann Lee
What is the date of the meeting? | See you on 1 May 2024. | 1 May 2024"""


@pytest.mark.parametrize("line", SHORT.split("\n"))
def test_each_notation_is_taken_as_it_stands(line):
    order, text, wanted = (part.strip().replace("/", "\n") for part in line.split(" | "))
    filling = "\n" + "it goes on and on.\n" * 9
    assert extract([f"{order}\n\n{text}{filling}"]) == wanted


HALF = """List the dates and the places. | List the names, each with what the person does.
List the names and the ages of the people. | Find the name and the phone number.
List the dates in the first paragraph. | Extract the due date. | List the dates of the meetings.
List the numbers above 50. | List two dates. | List the page numbers. | List the amounts by date.
List the prices and answer. | Summarise this for a child. | Give this text a title.
What is the date? | List the names of the companies. | List the times and the dates.
Summarise this report: what was done, what happened: | List the questions without an answer."""


@pytest.mark.parametrize("order", HALF.replace("\n", " | ").split(" | "))
def test_no_answer_is_half_of_one(order):
    assert refused(order)


def test_what_belongs_together_is_not_guessed_from_a_crowd():
    crowd = "Version 1.2 and version 1.3 are of 1 May 2024 and of 2 May 2024. "
    assert refused("List the version numbers and their dates:", crowd * 3)
    log = "refused 192.0.2.1 by 192.0.2.2\nnever refused 192.0.2.3\n"
    assert refused("List the IP addresses that were refused:", log * 4)


def test_a_further_order_in_a_paragraph_of_its_own_is_not_taken_for_text():
    assert refused("List the dates.\n\nAlso say which of them matters.")


def test_a_format_that_is_asked_for_is_no_further_question():
    order = "Extract the e-mail addresses. Do not add anything else, no explanations."
    assert extract([f"{order}\n\n{TEXT}"]) == "bridge@city.example.org"


def test_a_quotation_inside_a_text_is_not_the_whole_text():
    text = f'A friend passes this on.\n\n"{"Call Ann Lee. " * 20}"\n\nHer sister is Eva Lee.'
    assert extract([f"List the names:\n\n{text}"]) == "Ann Lee, Eva Lee"


def test_keywords_are_rather_nouns_than_numbers_days_or_verbs():
    text = "On Monday we emptied the pool for two hours. The café near the pool sells a cake. "
    assert extract([f"Give 3 keywords.\n\n{text}{text}"]) == "pool, café, cake"


def test_a_summary_of_a_chat_keeps_to_one_message():
    chat = "Lea: Is the boat free?\nTom: The boat is free 🎂\nLea: Fine! 👍\nTom: And the dog?\n"
    found = extract([f"Summarise this chat in one sentence:\n\n{chat * 2}"])
    assert found == "Tom: The boat is free 🎂"


def test_a_sentence_that_calls_itself_important_is_among_the_points():
    text = (
        "The shop sells boats. The boats are old. The most important thing is to ask. Boats sink. "
    )
    found = extract([f"Write down the two most important points:\n\n{text}{'So it goes. ' * 5}"])
    assert "The most important thing is to ask." in found.split("\n")


def test_pieces_at_the_edge_of_a_window_are_found_whole_and_once():
    for shift in (-40, -12, -1, 0):
        text = "x" * (WINDOW + shift) + " maria@example.org " + "x" * REACH + " b@example.org"
        found = [hit[0] for hit in hits(FOUND["email"], text)]
        assert found == ["maria@example.org", "b@example.org"]


HOSTILE = (
    'a|!|a@|1,|1 -|"|"aa|A |a-|http://|\n# |.)|\n |: |(|May |$1 |Aa |1/|```|The cat sat. '
    "|1 111 |1:|::|1. |half a |one g of |\nA: |\nFrom: |V1.|A-1|12 May |2 to |, "
    "|und der |the a |serial number 1 "
)
KINDS = (*NOUNS, "summary")


@pytest.mark.parametrize("unit", HOSTILE.split("|"))
def test_the_time_for_a_hostile_text_grows_no_faster_than_the_text(unit):
    text = unit * (100_000 // len(unit))
    order = read("List the lines with an error:")
    started = time.process_time()
    with contextlib.suppress(Rejected):
        extract([f"List the dates and what they are:\n{text}"])
    for kind in KINDS:
        pieces(kind, order, text)
    assert time.process_time() - started < 20  # half of one here; squared, minutes
