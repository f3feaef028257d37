"""Nodes for a Lambda function."""

from pydantic import BaseModel

from karman import Node

WORD = "Hello"


class Greet(Node):
    class Inputs(BaseModel):
        name: str

    class Outputs(BaseModel):
        text: str

    def execute(self) -> Outputs:
        if self.inputs.name == "nobody":
            raise ValueError("there is nobody to greet")
        return self.Outputs(text=f"{WORD}, {self.inputs.name}!")


class Tell(Node):
    class Inputs(BaseModel):
        text: str
        letters: int

    class Outputs(BaseModel):
        told: str

    async def execute(self) -> Outputs:
        return self.Outputs(told=f"{self.inputs.text} has {self.inputs.letters} letters")
