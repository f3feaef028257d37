"""Nodes for a worker in a container."""

import os

from pydantic import BaseModel

from karman import Node


class Measure(Node):
    class Inputs(BaseModel):
        text: str

    class Outputs(BaseModel):
        letters: int
        process: int

    def execute(self) -> Outputs:
        return self.Outputs(letters=sum(map(str.isalpha, self.inputs.text)), process=os.getpid())
