"""Where which time is: cities by the names of their time zones, and what else people ask for."""

from zoneinfo import available_timezones

_AREAS = (
    "Africa/",
    "America/",
    "Antarctica/",
    "Asia/",
    "Atlantic/",
    "Australia/",
    "Europe/",
    "Indian/",
    "Pacific/",
)
# Cities, and states and countries that have one time in all or most of them, and name no zone.
MORE = """
    America/Los_Angeles: San Francisco, Seattle, LA, Las Vegas, San Diego, Portland, San Jose
    America/Los_Angeles: Sacramento, California
    America/Los_Angeles: Oregon, Nevada, Washington State, Silicon Valley, Pacific time
    America/Denver: Salt Lake City, Colorado, Utah, Albuquerque, Mountain time
    America/Phoenix: Arizona, Tucson
    America/Chicago: Houston, Dallas, Austin, San Antonio, New Orleans, Minneapolis, Milwaukee, St Louis
    America/Chicago: Nashville
    America/Chicago: Kansas City, Memphis, Illinois, Wisconsin, Minnesota, Texas, Louisiana, Central time
    America/New_York: New York City, NYC, Boston, Miami, Atlanta, Washington, Washington DC
    America/New_York: Philadelphia, Orlando
    America/New_York: Pittsburgh, Cleveland, Charlotte, Baltimore, Massachusetts, Georgia, Florida
    America/New_York: Eastern time
    America/Indiana/Indianapolis: Indianapolis
    Pacific/Honolulu: Hawaii
    America/Anchorage: Alaska
    America/Toronto: Montreal, Ottawa, Quebec, Ontario
    America/Edmonton: Calgary, Alberta
    America/Vancouver: British Columbia
    America/Sao_Paulo: Rio, Rio de Janeiro, Brasilia
    America/Argentina/Buenos_Aires: Argentina
    America/Bogota: Colombia
    America/Lima: Peru
    America/Caracas: Venezuela
    America/Havana: Cuba
    Europe/London: England, Britain, Great Britain, the UK, UK, United Kingdom, Scotland, Wales
    Europe/London: Edinburgh, Glasgow
    Europe/London: Manchester, Birmingham, Liverpool, Cardiff
    Europe/Dublin: Ireland
    Europe/Paris: France, Lyon, Marseille, Nice
    Europe/Berlin: Germany, Munich, Frankfurt, Hamburg, Cologne, Stuttgart
    Europe/Rome: Italy, Milan, Venice, Florence, Naples
    Europe/Madrid: Barcelona, Seville, Valencia
    Europe/Zurich: Switzerland, Geneva, Basel, Bern
    Europe/Vienna: Austria
    Europe/Amsterdam: the Netherlands, Netherlands, Holland, Rotterdam
    Europe/Brussels: Belgium
    Europe/Copenhagen: Denmark
    Europe/Stockholm: Sweden
    Europe/Oslo: Norway
    Europe/Helsinki: Finland
    Europe/Warsaw: Poland, Krakow
    Europe/Prague: Czechia, the Czech Republic
    Europe/Budapest: Hungary
    Europe/Athens: Greece
    Europe/Kyiv: Ukraine
    Europe/Bucharest: Romania
    Europe/Istanbul: Turkey
    Atlantic/Reykjavik: Iceland
    Asia/Tokyo: Japan, Osaka, Kyoto
    Asia/Seoul: Korea, South Korea
    Asia/Shanghai: China, Beijing, Shenzhen, Guangzhou
    Asia/Kolkata: India, Mumbai, Delhi, New Delhi, Bangalore, Bengaluru, Chennai, Hyderabad
    Asia/Bangkok: Thailand
    Asia/Ho_Chi_Minh: Vietnam, Saigon, Hanoi
    Asia/Manila: the Philippines, Philippines
    Asia/Karachi: Pakistan, Lahore
    Asia/Dhaka: Bangladesh
    Asia/Kathmandu: Nepal
    Asia/Dubai: Abu Dhabi, the UAE, UAE, the United Arab Emirates
    Asia/Riyadh: Saudi Arabia, Mecca
    Asia/Jerusalem: Israel, Tel Aviv
    Asia/Tehran: Iran
    Africa/Cairo: Egypt
    Africa/Johannesburg: South Africa, Cape Town, Pretoria
    Africa/Nairobi: Kenya
    Africa/Lagos: Nigeria
    Africa/Casablanca: Morocco
    Australia/Sydney: Canberra
    Pacific/Auckland: New Zealand, Wellington
    UTC: Greenwich Mean Time, Coordinated Universal Time, GMT, UTC
"""

LANDS = frozenset(
    ("australia", "canada", "brazil", "russia", "mexico", "indonesia", "usa", "united states", "america")
)
"""Names that may follow a city's, and have more than one time of their own."""


def places() -> dict[str, tuple[str, str]]:
    """By each name in lower case: how it is written, and its zone; none where the system has no zones."""
    zones = available_timezones()
    cities = {
        zone.rpartition("/")[2].replace("_", " "): zone for zone in sorted(zones) if zone.startswith(_AREAS)
    }
    for line in MORE.strip().splitlines():
        zone, _, names = line.strip().partition(":")
        cities |= {name.strip(): zone for name in names.split(",") if zone in zones}
    return {name.casefold(): (name, zone) for name, zone in cities.items()}
