"""Messages: what cannot work is refused."""

from dataclasses import dataclass
from datetime import date

from aiodag import task
from aiodag.messages import Topic, first_of, message, send, sleep, sleep_until


@dataclass
class Payment:
    amount: int


@task
async def count(text: str) -> int:
    return len(text)


payments = Topic("PAYMENT", value=Payment)

Topic()  # E
Topic("PAYMENT", Payment, 5)  # E
message()  # E
message(5)  # E
message(payments, "A17")  # E
message(payments, key=17)  # E
message(payments, count="2")  # E
message(payments, timeout="5")  # E
count(message(payments))  # E
sleep("5")  # E
sleep_until(date(2030, 1, 1))  # E
send(payments, value=5)  # E
send(payments, key=17)  # E
send(payments, id=5)  # E
send("PAYMENT", headers={"a": 5})  # E
first_of(5)  # E
first_of(paid=5)  # E
