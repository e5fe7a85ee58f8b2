"""Formulas and what they have to give, computed by other libraries: Python's decimal, datetime and
zoneinfo, dateutil for months, numpy for business days, Google's phone numbers, ISO 3166.

Writes one JSON object a line: kind, formula, what it gives. The seed makes the same cases again.
"""

import datetime as dt
import json
import random
import sys
from decimal import (
    ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Decimal, localcontext,
)
from zoneinfo import ZoneInfo

import iso3166
import numpy as np
import phonenumbers
from dateutil.relativedelta import relativedelta

dice = random.Random(int(sys.argv[1]))
MODES = {
    "half_up": ROUND_HALF_UP, "half_even": ROUND_HALF_EVEN, "half_down": ROUND_HALF_DOWN, "up": ROUND_UP, "down": ROUND_DOWN,
    "ceiling": ROUND_CEILING, "floor": ROUND_FLOOR,
}
ZONES = [
    "Europe/Berlin", "Europe/London", "Europe/Lisbon", "Europe/Istanbul", "Europe/Moscow", "America/New_York", "America/Chicago",
    "America/Los_Angeles", "America/Sao_Paulo", "America/St_Johns", "America/Caracas", "Asia/Tokyo", "Asia/Kolkata",
    "Asia/Kathmandu", "Asia/Tehran", "Asia/Shanghai", "Asia/Pyongyang", "Australia/Sydney", "Australia/Lord_Howe",
    "Australia/Adelaide", "Pacific/Auckland", "Pacific/Apia", "Pacific/Chatham", "Africa/Cairo", "Africa/Casablanca", "UTC",
]
# Rules of the future change, and with them the answer, from one release of the zones to the next.
FIRST, LAST = dt.date(1980, 1, 1), dt.date(2024, 12, 31)


def case(kind, formula, gives):
    print(json.dumps({"kind": kind, "formula": formula, "gives": gives}, ensure_ascii=False))


def plain(number):
    """As a formula writes it: no zeros behind the last digit, no exponent."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def decimal(digits, scale):
    number = Decimal(dice.randrange(10 ** dice.randint(1, digits))).scaleb(-dice.randint(0, scale))
    return -number if dice.random() < 0.4 else number


def written(number):
    return f"({plain(number)})" if number < 0 else plain(number)


def numbers():
    for _ in range(700):
        a, b = decimal(14, 6), decimal(13, 6)
        for sign, gives in (("+", a + b), ("-", a - b), ("*", a * b)):
            case("arithmetic", f"to_text({written(a)} {sign} {written(b)})", plain(gives))
        case("comparison", f"{written(a)} < {written(b)}", a < b)
        if b:
            # Exact where the quotient has an end, rounded where it has not.
            case("division", f"to_text({written(a * b)} / {written(b)})", plain(a))
            quotient = (a / b).quantize(Decimal("1e-10"), ROUND_HALF_UP)
            case("division", f"to_text(round({written(a)} / {written(b)}, 10))", plain(quotient))
            case("division", f"to_text({written(a)} % {written(b)})", plain(a % b))
            case("division", f"to_text(mod({written(a)}, {written(b)}))", plain(a - b * (a / b).to_integral_value(ROUND_FLOOR)))
    for _ in range(300):
        a, b = dice.randint(-(2**63), 2**63 - 1), dice.randint(-(2**40), 2**40)
        for sign, gives in (("+", a + b), ("-", a - b), ("*", a * b)):
            if abs(gives) < 2**96:
                case("integers", f"to_text({written(Decimal(a))} {sign} {written(Decimal(b))})", str(gives))
        if -(2**63) <= a + b < 2**63:
            case("integers", f"{written(Decimal(a))} + {written(Decimal(b))}", a + b)
    for _ in range(900):
        # Often exactly half way.
        number = decimal(10, 4) if dice.random() < 0.5 else Decimal(dice.randrange(-2000, 2000) * 10 + 5).scaleb(-dice.randint(0, 4))
        digits, (mode, rounding) = dice.randint(-3, 5), dice.choice(list(MODES.items()))
        gives = number.scaleb(digits).to_integral_value(rounding).scaleb(-digits)
        case("rounding", f'to_text(round({written(number)}, {digits}, "{mode}"))', plain(gives))
    for _ in range(200):
        number, digits = decimal(12, 5), dice.randint(0, 4)
        gives = format(number.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP), ",f")
        gives = gives.lstrip("-") if not any(sign in gives for sign in "123456789") else gives
        case("format", f"format_number({written(number)}, {digits})", gives)
        case("format", f'to_text(parse_number("{format(number, ",f")}"))', plain(number))


def day(first=FIRST, last=LAST):
    return first + dt.timedelta(days=dice.randrange((last - first).days))


def calendar():
    wide = (dt.date(1600, 1, 1), dt.date(2400, 1, 1))
    for _ in range(600):
        a, b, n = day(*wide), day(*wide), dice.randint(-1200, 1200)
        case("calendar", f'add_days("{a}", {n})', str(a + dt.timedelta(days=n)))
        case("calendar", f'add_months("{a}", {n})', str(a + relativedelta(months=n)))
        case("calendar", f'add_years("{a}", {n // 12})', str(a + relativedelta(years=n // 12)))
        case("calendar", f'days_between("{a}", "{b}")', (b - a).days)
        apart = relativedelta(b, a)
        case("calendar", f'months_between("{a}", "{b}")', apart.years * 12 + apart.months)
        case("calendar", f'years_between("{a}", "{b}")', apart.years)
        case("calendar", f'date("{a}") < date("{b}")', a < b)
        year, week, weekday = a.isocalendar()
        case("parts", f'[week("{a}"), weekday("{a}"), quarter("{a}"), day("{a}"), days_in_month("{a}")]',
             [week, weekday, (a.month + 2) // 3, a.day, (a + relativedelta(day=31)).day])
        case("parts", f'format_date("{a}", "%G-W%V-%u|%j|%d.%m.%y|%a %b|%A %B")',
             f"{year:04}-W{week:02}-{weekday}|{a:%j|%d.%m.%y|%a %b|%A %B}")
        case("parts", f'parse_date("{a:%d %B %Y}", "%d %B %Y")', str(a))
        monday = a - dt.timedelta(days=a.weekday())
        quarter = a.replace(month=(a.month - 1) // 3 * 3 + 1, day=1)
        case("periods", f'[start_of("{a}", "week"), end_of("{a}", "week"), start_of("{a}", "quarter"), end_of("{a}", "quarter")]',
             [str(monday), str(monday + dt.timedelta(days=6)), str(quarter), str(quarter + relativedelta(months=3, days=-1))])
    for _ in range(700):
        a, n = day(), dice.randint(-400, 400)
        b = a + dt.timedelta(days=dice.randint(-500, 500))
        holidays = sorted({a + dt.timedelta(days=dice.randint(-500, 500)) for _ in range(dice.randint(0, 30))})
        listed = json.dumps([str(holiday) for holiday in holidays])
        days = np.busdaycalendar(holidays=[np.datetime64(holiday) for holiday in holidays])
        if n:
            gives = np.busday_offset(np.datetime64(a), n, roll="backward" if n > 0 else "forward", busdaycal=days)
            case("business", f'add_business_days("{a}", {n}, {listed})', str(gives))
        # Ours counts the last day and not the first, numpy the other way round.
        one = dt.timedelta(days=1)
        gives = np.busday_count(a + one, b + one, busdaycal=days) if a <= b else -np.busday_count(b, a, busdaycal=days)
        case("business", f'business_days_between("{a}", "{b}", {listed})', int(gives))
        case("business", f'is_business_day("{a}", {listed})', bool(np.is_busday(np.datetime64(a), busdaycal=days)))


def iso(moment):
    if moment.tzinfo is dt.timezone.utc or str(moment.tzinfo) == "UTC":
        return moment.astimezone(dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return moment.isoformat()


def near_change(zone):
    """A time on the clock, often close to where the clock changes."""
    local = dt.datetime.combine(day(), dt.time(dice.randrange(24), dice.randrange(60), dice.randrange(60)))
    if dice.random() < 0.5:
        return local
    offset = lambda moment: moment.replace(tzinfo=zone).utcoffset()
    for _ in range(400):
        if offset(local) != offset(local + dt.timedelta(days=1)):
            return local + dt.timedelta(hours=dice.randrange(25), minutes=30 * dice.randrange(2))
        local += dt.timedelta(days=1)
    return min(local, dt.datetime(2024, 12, 30))


def zones():
    utc = dt.timezone.utc
    for _ in range(800):
        name, other = dice.choice(ZONES), dice.choice(ZONES)
        zone = ZoneInfo(name)
        local = near_change(zone)
        # Python calls a time that does not exist by the offset before the change, as we do.
        moment = local.replace(tzinfo=zone).astimezone(utc).astimezone(zone)
        value = f'datetime("{local.isoformat()}", "{name}")'
        case("zones", value, iso(moment))
        case("zones", f'to_zone({value}, "{other}")', iso(moment.astimezone(ZoneInfo(other))))
        hours, days = dice.randint(-60, 60), dice.randint(-40, 40)
        later = (moment.astimezone(utc) + dt.timedelta(hours=hours)).astimezone(zone)
        case("zones", f"add_hours({value}, {hours})", iso(later))
        case("zones", f"({value} + duration(\"{abs(hours)}h\")) - {value} == duration(\"{abs(hours)}h\")", True)
        there = (moment.replace(tzinfo=None, fold=0) + dt.timedelta(days=days)).replace(tzinfo=zone)
        # The second pass of an hour that comes twice stays the second where nothing moves.
        if not moment.fold:
            case("zones", f"add_days({value}, {days})", iso(there.astimezone(utc).astimezone(zone)))
        case("zones", f"to_unix({value})", int(moment.timestamp()))
        midnight = dt.datetime.combine(moment.date(), dt.time(), zone)
        case("zones", f'start_of({value}, "day")', iso(midnight.astimezone(utc).astimezone(zone)))
        case("zones", f'format_date({value}, "%H:%M:%S %z")', moment.strftime("%H:%M:%S %z"))
        case("zones", f'(datetime("2000-01-01T00:00:00Z") - {value}) / duration("1s")',
             int((dt.datetime(2000, 1, 1, tzinfo=utc) - moment).total_seconds()))


def codes():
    for country in iso3166.countries:
        if country.alpha2 == "XK":
            # Not in the standard, but in daily use.
            continue
        case("countries", f'[country_code("{country.alpha3}"), country_code("{country.numeric}"), country_code("{country.alpha2}", "alpha3")]',
             [country.alpha2, country.alpha2, country.alpha3])
    kinds = [phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE]
    known = {country.alpha2 for country in iso3166.countries}
    for region in sorted(set(phonenumbers.SUPPORTED_REGIONS) & known - {"XK"}):
        for kind in kinds:
            number = phonenumbers.example_number_for_type(region, kind)
            if number is None:
                continue
            forms = (phonenumbers.PhoneNumberFormat.NATIONAL, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
            gives = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
            for form in forms:
                case("phones", f'phone("{phonenumbers.format_number(number, form)}", "{region}")', gives)
        case("phones", f'phone("0", "{region}")', None)


with localcontext() as context:
    context.prec = 60
    numbers()
calendar()
zones()
codes()
