"""Subjects about numbers: reading, converting, comparing, continuing and calculating.

Every one has a space of operands that is split by hash, so a test question's operands were never seen in training.
Distractors are numbers near the right one, or what a typical slip gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from ianvs_collab.zoo.question import EASY, HARD, MEDIUM, Draft, Language, coin

_ONES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TENS = ("zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_DIGITS_ZH = "零一二三四五六七八九"
_SPELLABLE = frozenset(number for number in range(21, 100) if number % 10)
_TIMES_TABLE = 10
# English plural unit, Chinese unit, small English unit, small Chinese unit, factor
_UNITS = (
    ("hours", "小时", "minutes", "分钟", 60),
    ("minutes", "分钟", "seconds", "秒", 60),
    ("days", "天", "hours", "小时", 24),
    ("weeks", "周", "days", "天", 7),
    ("years", "年", "months", "个月", 12),
    ("kilometres", "千米", "metres", "米", 1000),
    ("metres", "米", "centimetres", "厘米", 100),
    ("tonnes", "吨", "kilograms", "千克", 1000),
)


def words_of(number: int, language: Language) -> str:
    """Spell a number from 21 to 99 that is no multiple of ten ("forty-seven", "四十七")."""
    tens, ones = divmod(number, 10)
    if language == "en":
        return f"{_TENS[tens]}-{_ONES[ones]}"
    return f"{_DIGITS_ZH[tens]}十{_DIGITS_ZH[ones]}"


def near(rng: Random, value: int, largest_slip: int = 0) -> list[str]:
    """Return plausible wrong numbers: off by one or two, by ten, with two digits swapped, or by a given slip."""
    wrong = [value + step for step in (-2, -1, 1, 2, -10, 10)]
    text = str(value)
    if len(text) > 1:
        wrong.append(int(text[:-2] + text[-1] + text[-2]))
    if largest_slip:
        wrong += [value - largest_slip, value + largest_slip]
    return [str(number) for number in wrong if number > 0]


def numerals(rng: Random, language: Language) -> Draft:
    """Ask for a two-digit number in digits, or in the words of the other language."""
    tens, ones = rng.randint(2, 9), rng.randint(1, 9)
    number = 10 * tens + ones
    other: Language = "zh" if language == "en" else "en"
    confusable = {number + step for step in (-10, -1, 1, 10)} | {10 * ones + tens, 10 * tens + (ones + 4) % 9 + 1}
    wrong = [n for n in confusable if n in _SPELLABLE]
    translate = coin(rng)
    spelled = words_of(number, language)
    answer = words_of(number, other) if translate else str(number)
    candidates = [words_of(n, other) if translate else str(n) for n in wrong]
    if language == "en":
        question = f"What is {spelled} in {'Chinese' if translate else 'digits'}?"
        completion = f"The number {spelled} is {answer}."
    else:
        question = f"{spelled}用{'英文' if translate else '数字'}怎么写？"
        completion = f"{spelled}写作 {answer}。"
    return Draft(f"{number} {translate}", question, answer, candidates, completion)


def units(rng: Random, language: Language) -> Draft:
    """Ask how many small units a number of large units is."""
    large, large_zh, small, small_zh, factor = rng.choice(_UNITS)
    count = rng.randint(2, 30)
    answer = str(count * factor)
    slips = [(count + step) * factor for step in (-2, -1, 1, 2)] + [count * factor + step for step in (-10, 10)]
    slips += [count * f for f in (7, 10, 12, 24, 60, 100, 1000)]
    if language == "en":
        question, completion = f"How many {small} are {count} {large}?", f"{count} {large} are {answer} {small}."
    else:
        question = f"{count} {large_zh}等于多少{small_zh}？"
        completion = f"{count} {large_zh}等于 {answer} {small_zh}。"
    difficulty = EASY if factor % 100 == 0 else MEDIUM if count <= _TIMES_TABLE else HARD
    return Draft(f"{large} {count}", question, answer, [str(n) for n in slips if n > 0], completion, difficulty)


def _four_numbers(rng: Random, difficulty: int) -> list[int]:
    """Draw four distinct numbers: of two digits, of three, or of three with the same first digit."""
    low, high = (10, 99) if difficulty == EASY else (100, 999)
    if difficulty == HARD:
        low = 100 * rng.randint(1, 9)
        high = low + 99
    return rng.sample(range(low, high + 1), 4)


def comparison(rng: Random, language: Language) -> Draft:
    """Ask for the largest or smallest of the four options."""
    return _by_size(rng, language, 0, {"en": ("smallest", "largest"), "zh": ("最小", "最大")})


def ranking(rng: Random, language: Language) -> Draft:
    """Ask for the second largest or second smallest of the four options."""
    return _by_size(rng, language, 1, {"en": ("second smallest", "second largest"), "zh": ("第二小", "第二大")})


def _by_size(rng: Random, language: Language, place: int, words: Mapping[Language, tuple[str, str]]) -> Draft:
    """Ask for the number that stands at `place`, from 0, counted from the smallest or from the largest."""
    difficulty, largest = rng.randint(EASY, HARD), coin(rng)
    numbers = sorted(_four_numbers(rng, difficulty))
    word, answer = words[language][largest], str(numbers[-1 - place if largest else place])
    if language == "en":
        question, completion = f"Which number is the {word}?", f"The {word} number is {answer}."
    else:
        question, completion = f"哪个数{word}？", f"{word}的数是 {answer}。"
    key = f"{largest} {numbers}"
    return Draft(key, question, answer, [str(n) for n in numbers], completion, difficulty)


def sequences(rng: Random, language: Language) -> Draft:
    """Ask for the next number of a rising, a falling or an accelerating sequence."""
    difficulty, step, start = rng.randint(EASY, HARD), rng.randint(2, 12), rng.randint(1, 60)
    growth = 1 if difficulty == HARD else 0
    numbers = [start]
    for index in range(4):
        numbers.append(numbers[-1] + step + growth * index)
    if difficulty == MEDIUM:
        numbers.reverse()
    *shown, following = numbers
    listed = ", ".join(map(str, shown))
    if language == "en":
        question, completion = f"What comes next: {listed}?", f"The next number is {following}."
    else:
        question, completion = f"下一个数是什么：{listed}？", f"下一个数是 {following}。"
    key = f"{difficulty} {start} {step}"
    return Draft(key, question, str(following), near(rng, following, step), completion, difficulty)


def addition(rng: Random, language: Language) -> Draft:
    """Ask for the sum of two numbers of two or three digits."""
    difficulty = rng.randint(EASY, HARD)
    first = rng.randint(10, 99) if difficulty == EASY else rng.randint(100, 899)
    second = rng.randint(100, max(109, 999 - first)) if difficulty == HARD else rng.randint(10, 99)
    return _operation(rng, language, difficulty, (first, "+", second), first + second)


def subtraction(rng: Random, language: Language) -> Draft:
    """Ask for the positive difference of two numbers of two or three digits."""
    difficulty = rng.randint(EASY, HARD)
    second = rng.randint(100, 499) if difficulty == HARD else rng.randint(10, 89)
    first = rng.randint(second + 1, 99) if difficulty == EASY else rng.randint(max(100, second + 1), 999)
    return _operation(rng, language, difficulty, (first, "-", second), first - second)


def multiplication(rng: Random, language: Language) -> Draft:
    """Ask for the product of a number of one digit and one of one or two digits."""
    difficulty = rng.randint(EASY, HARD)
    first = rng.randint(2, 9)
    second = rng.randint(*((2, 19), (20, 49), (50, 99))[difficulty - 1])
    return _operation(rng, language, difficulty, (second, "×", first), second * first)


def _operation(rng: Random, language: Language, difficulty: int, term: tuple[int, str, int], value: int) -> Draft:
    expression = f"{term[0]} {term[1]} {term[2]}"
    if language == "en":
        question, completion = f"What is {expression}?", f"{expression} is {value}."
    else:
        question, completion = f"{expression} 等于多少？", f"{expression} 等于 {value}。"
    return Draft(expression, question, str(value), near(rng, value, term[2]), completion, difficulty)
