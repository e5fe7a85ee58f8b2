"""aiosnow against the instance: its operators (`*`, `!*`), pages it streams, writes, and a record it does not find."""

import asyncio
import os

import aiosnow
from aiosnow.models.table.declared import IncidentModel as Incident


async def main():
    client = aiosnow.Client(os.environ["SN_URL"], basic_auth=(os.environ["SN_USER"], os.environ["SN_PASSWORD"]), use_ssl=False)
    async with Incident(client, table_name="incident") as incidents:
        made = await incidents.create({"short_description": "from aiosnow", "impact": 1})
        number = made["number"]
        assert number.startswith("INC"), made.data
        found = await incidents.get(Incident.short_description.contains("aiosnow"), limit=10)
        assert [row["number"] for row in found] == [number], found.data
        others = await incidents.get(Incident.short_description.not_contains("aiosnow") & Incident.number.starts_with("INC"), limit=20)
        assert len(others.data) == 20 and all("aiosnow" not in row["short_description"] for row in others), others.data
        changed = await incidents.update(Incident.number == number, {"impact": 2})
        assert changed["impact"].key == 2, changed.data
        # A limit that is no whole number of pages ends in `sysparm_limit=0`, which the instance refuses.
        pages = incidents.stream(Incident.number.starts_with("INC"), page_size=7, limit=21)
        streamed = [row["number"] async for _, row in pages]
        assert len(set(streamed)) == 21, streamed
        await incidents.delete(Incident.number == number)
        try:
            await incidents.get_one(Incident.number == number)
            raise AssertionError("a deleted record was found")
        except aiosnow.exceptions.NoItems:
            pass


asyncio.run(main())
print("all good")
