"""Check digits and number ranges: what tells an identity number from any other row of digits."""

from __future__ import annotations

from datetime import date

_RESIDENT_WEIGHTS = tuple(2 ** (17 - index) % 11 for index in range(17))
_RESIDENT_CHECKS = "10X98765432"
_PROVINCES = frozenset(
    str(code)
    for first, last in ((11, 15), (21, 23), (31, 37), (41, 46), (50, 54), (61, 65), (71, 71), (81, 83))
    for code in range(first, last + 1)
)

_IBAN_COUNTRIES = {
    15: "NO",
    16: "BE",
    18: "DK FO FI GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HU LB PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU",
    31: "MT SC",
    32: "LC",
}
IBAN_LENGTHS = {code: length for length, codes in _IBAN_COUNTRIES.items() for code in codes.split()}
"""Characters of an account number by country, from the registry of ISO 13616."""


def luhn(number: str) -> bool:
    """Whether the last digit of a number is its check digit: Luhn's formula, ISO/IEC 7812-1, annex B.

    Args:
        number: Digits only.
    """
    doubled = (int(digit) * (1 + index % 2) for index, digit in enumerate(reversed(number)))
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0  # noqa: PLR2004 - digits


def resident_id(number: str) -> bool:
    """Whether 18 characters are a Chinese resident identity number: GB 11643-1999, check by ISO 7064 MOD 11-2.

    Province code and date of birth are checked as well.

    Args:
        number: 17 digits and a digit or X.
    """
    if number[:2] not in _PROVINCES or not _is_date(number[6:14]):
        return False
    total = sum(int(digit) * weight for digit, weight in zip(number[:17], _RESIDENT_WEIGHTS, strict=True))
    return _RESIDENT_CHECKS[total % 11] == number[17].upper()


def social_security_number(number: str) -> bool:
    """Whether nine digits can be a US social security number.

    The Social Security Administration issues no area 000, 666 or 900 to 999, no group 00 and no serial 0000.

    Args:
        number: Nine digits.
    """
    area, group, serial = number[:3], number[3:5], number[5:]
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def iban(number: str) -> bool:
    """Whether a text is an international bank account number: ISO 13616, check by ISO 7064 MOD 97-10.

    The length must be the one that the registry has for its country.

    Args:
        number: Letters and digits without spaces.
    """
    number = number.upper()
    if IBAN_LENGTHS.get(number[:2]) != len(number):
        return False
    return int("".join(str(int(character, 36)) for character in number[4:] + number[:4])) % 97 == 1


def _is_date(text: str) -> bool:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:])).year >= 1800  # noqa: PLR2004 - nobody alive is older
    except ValueError:
        return False
