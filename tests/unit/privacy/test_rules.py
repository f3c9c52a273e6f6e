"""Rules: numbers with valid checks are found wherever they stand, broken ones never."""

from __future__ import annotations

import ipaddress
import string
from datetime import date

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ianvs_collab.privacy import KINDS, PrivacyError, RuleDetector, checksums

RULES = RuleDetector()
SURROUNDINGS = st.sampled_from([("", ""), ("call ", "."), ("号码是", "，谢谢"), ("(", ")"), ("x: ", "\n"), ('"', '"')])


def found(text: str) -> list[tuple[str, str]]:
    return [(one.kind, one.text) for one in RULES.find(text)]


def digits(count: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=count, max_size=count)


def luhn_digit(body: str) -> str:
    """The check digit, worked out by trying: another way than the one under test."""

    def total(number: str) -> int:
        values = [int(d) for d in number]
        for index in range(len(values) - 2, -1, -2):
            values[index] = sum(map(int, str(2 * values[index])))
        return sum(values)

    return next(d for d in string.digits if total(body + d) % 10 == 0)


def iban_of(country: str, body: str) -> str:
    number = int("".join(str(string.digits.find(c) if c.isdigit() else ord(c) - 55) for c in body + country + "00"))
    return f"{country}{98 - number % 97:02d}{body}"


@st.composite
def cards(draw: st.DrawFn) -> str:
    body = draw(st.sampled_from("3456")) + draw(digits(14))
    return body + luhn_digit(body)


@st.composite
def ibans(draw: st.DrawFn) -> str:
    country = draw(st.sampled_from(sorted(checksums.IBAN_LENGTHS)))
    size = checksums.IBAN_LENGTHS[country] - 4
    return iban_of(country, draw(st.text(string.digits + string.ascii_uppercase, min_size=size, max_size=size)))


@st.composite
def resident_ids(draw: st.DrawFn) -> str:
    born = draw(st.dates(date(1900, 1, 1), date(2020, 12, 31)))
    body = draw(st.sampled_from(["11", "31", "44", "65", "82"])) + draw(digits(4)) + f"{born:%Y%m%d}" + draw(digits(3))
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # as the standard prints them
    return body + "10X98765432"[sum(int(d) * w for d, w in zip(body, weights, strict=True)) % 11]


@given(cards(), st.sampled_from(["", " ", "-"]), SURROUNDINGS)
def test_cards_are_found_whole_and_in_groups(card: str, gap: str, around: tuple[str, str]) -> None:
    assume(not checksums.resident_id(card) if len(card) == 18 else True)
    written = gap.join(card[i : i + 4] for i in range(0, 16, 4))
    assert found(around[0] + written + around[1]) == [("CARD", written)]


@given(cards(), st.integers(0, 15), st.integers(1, 9))
def test_a_wrong_digit_is_no_card(card: str, place: int, more: int) -> None:
    broken = card[:place] + str((int(card[place]) + more) % 10) + card[place + 1 :]
    assert found(broken) == []


@given(ibans(), st.booleans(), SURROUNDINGS)
def test_account_numbers_are_found_in_one_piece_and_in_fours(iban: str, spaced: bool, around: tuple[str, str]) -> None:
    written = " ".join(iban[i : i + 4] for i in range(0, len(iban), 4)) if spaced else iban
    assert found(around[0] + written + around[1]) == [("IBAN", written)]


def test_an_account_number_has_the_length_of_its_country() -> None:
    assert checksums.iban("GB82WEST12345698765432")
    assert not checksums.iban("GB82WEST1234569876543")
    assert not checksums.iban("ZZ82WEST12345698765432")


@given(ibans(), st.integers(1, 96))
def test_wrong_check_digits_are_no_account_number(iban: str, more: int) -> None:
    check = (int(iban[2:4]) - 2 + more) % 97 + 2
    assume(f"{check:02d}" != iban[2:4])
    assert not any(kind == "IBAN" for kind, _ in found(f"{iban[:2]}{check:02d}{iban[4:]}"))


@given(resident_ids(), SURROUNDINGS)
def test_resident_numbers_are_found(number: str, around: tuple[str, str]) -> None:
    assert found(around[0] + number + around[1]) == [("CN_ID", number)]
    assert found(number.lower()) == [("CN_ID", number.lower())]


@given(resident_ids(), st.integers(1, 10))
def test_a_wrong_check_character_is_no_resident_number(number: str, more: int) -> None:
    order = "0123456789X"
    broken = number[:17] + order[(order.index(number[17]) + more) % 11]
    assert not any(kind == "CN_ID" for kind, _ in found(broken))


@pytest.mark.parametrize(
    "number", ["110105194913310026", "110105200002300017", "990105194912310025", "110105169912310025"]
)
def test_impossible_dates_and_provinces_are_no_resident_number(number: str) -> None:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    check = "10X98765432"[sum(int(d) * w for d, w in zip(number[:17], weights, strict=True)) % 11]
    assert not any(kind == "CN_ID" for kind, _ in found(number[:17] + check))


@given(st.integers(0, 999), st.integers(0, 99), st.integers(0, 9999))
def test_social_security_numbers_follow_the_ranges(area: int, group: int, serial: int) -> None:
    number = f"{area:03d}-{group:02d}-{serial:04d}"
    issued = 0 < area < 900 and area != 666 and group > 0 and serial > 0
    assert found(f"SSN {number}.") == ([("US_SSN", number)] if issued else [])


@given(st.ip_addresses(v=4), SURROUNDINGS)
def test_addresses_of_version_4_are_found(address: ipaddress.IPv4Address, around: tuple[str, str]) -> None:
    assume(not address.is_unspecified)
    assert found(f"{around[0]}{address}{around[1]}") == [("IP", str(address))]


@given(st.ip_addresses(v=6))
def test_addresses_of_version_6_are_found(address: ipaddress.IPv6Address) -> None:
    assume(any(c.isdigit() for c in str(address)))
    for text in (str(address), address.exploded):
        assert found(f"host {text} is up") == ([] if address.is_unspecified else [("IP", text)])


ATOMS = st.text(string.ascii_letters + string.digits + "_+-", min_size=1, max_size=8)
LABELS = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)


@given(st.lists(ATOMS, min_size=1, max_size=3), st.lists(LABELS, min_size=1, max_size=3), SURROUNDINGS)
def test_mail_addresses_are_found(local: list[str], domain: list[str], around: tuple[str, str]) -> None:
    address = f"{'.'.join(local)}@{'.'.join(domain)}.org"
    assert found(around[0] + address + around[1]) == [("EMAIL", address)]


@pytest.mark.parametrize(
    "number",
    [
        "13800138000",
        "138 0013 8000",
        "138-0013-8000",
        "+86 13800138000",
        "+8613800138000",
        "0086-138-0013-8000",
        "010-62345678",
        "(021) 62345678",
        "+44 20 7946 0958",
        "+14155552671",
        "+1 (415) 555-2671",
        "415-555-2671",
        "(415) 555-2671",
        "1-415-555-2671",
        "415.555.2671",
    ],
)
@pytest.mark.parametrize("frame", ["{}", "tel:{}", "电话{}。", "my number is {}, ok"])
def test_phone_numbers_are_found(number: str, frame: str) -> None:
    assert found(frame.format(number)) == [("PHONE", number)]


@pytest.mark.parametrize(
    "text",
    [
        "12 + 34 = 46",
        "What is 891 × 885?\nA. 788035\nB. 788135",
        "1234567890123456789012",
        "version 1.2.3.4.5",
        "v10.0.0.1",
        "12:30:45",
        "std::vector<int> and A::B",
        "::",
        "0.0.0.0",
        "256.1.1.1",
        "2024-01-02",
        "12800138000",
        "a@b",
        "user@localhost",
        "+1234567",
        "+1234567890123456",
        "3.14159265358979",
    ],
)
def test_ordinary_numbers_and_texts_are_left_alone(text: str) -> None:
    assert found(text) == []


def test_full_width_digits_count() -> None:
    assert found("电话：１３８００１３８０００") == [("PHONE", "１３８００１３８０００")]
    assert found("ｚｈａｎｇ＠ｘ．ｃｎ") == [("EMAIL", "ｚｈａｎｇ＠ｘ．ｃｎ")]


def test_a_number_that_fails_hides_none_behind_it() -> None:
    assert found("5555 4111 1111 1111 1111") == [("CARD", "4111 1111 1111 1111")]
    assert found("BE68 5390 0754 7034 THIS") == [("IBAN", "BE68 5390 0754 7034")]


@pytest.mark.parametrize("card", ["378282246310005", "3782 822463 10005", "6212 3456 7890 1234 569"])
def test_cards_of_other_lengths(card: str) -> None:
    number = card.replace(" ", "")
    written = card if checksums.luhn(number) else card[:-1] + luhn_digit(number[:-1])
    assert found(f"card {written}") == [("CARD", written)]


def test_only_the_kinds_asked_for() -> None:
    text = "a@b.org 13800138000"
    assert [one.kind for one in RuleDetector(["PHONE"]).find(text)] == ["PHONE"]
    assert RuleDetector([]).find(text) == []


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(PrivacyError, match=r"no rule finds the kind 'MAIL'; there are EMAIL, CN_ID"):
        RuleDetector(["MAIL"])
    assert KINDS == ("EMAIL", "CN_ID", "US_SSN", "IBAN", "CARD", "IP", "PHONE")
