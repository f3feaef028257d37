"""Nodes for a Lambda function that has a hard time."""

import asyncio
import os
import random
import time

from pydantic import BaseModel

from karman import Node


class Exit(Node):
    """Takes its process along, without a word, once the lease of its batch has begun."""

    async def execute(self) -> None:
        await asyncio.sleep(1)
        os._exit(1)


class Hang(Node):
    """Does not end, and cannot be told to."""

    def execute(self) -> None:
        time.sleep(3_600)


class Survive(Node):
    """Does nothing, beside such neighbours."""

    class Outputs(BaseModel):
        survived: bool = True

    def execute(self) -> Outputs:
        return self.Outputs()


class Write(Node):
    """More than the table takes."""

    class Inputs(BaseModel):
        characters: int

    class Outputs(BaseModel):
        text: str

    class Secrets(BaseModel):
        letters: str

    def execute(self) -> Outputs:
        letters = random.choices(
            self.secrets.letters, k=self.inputs.characters
        )  # what does not get small when packed
        return self.Outputs(text="".join(letters))


class Count(Node):
    class Inputs(BaseModel):
        text: str

    class Outputs(BaseModel):
        characters: int

    def execute(self) -> Outputs:
        self.ctx.store.set("counted", True)
        return self.Outputs(characters=len(self.inputs.text))
