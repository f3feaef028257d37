"""A graph that goes from a Lambda function to a container and back. In no bundle: it knows the nodes of both."""

from karman import Graph, Retry

from .greeting import Greet, Tell
from .measuring import Measure

graph = Graph("greeting", retry=Retry.fixed(1, delay=0.1))
greet = graph.add(Greet, "greet")
measure = graph.add(Measure, "measure", text=greet.outputs.text)
tell = graph.add(Tell, "tell", text=greet.outputs.text, letters=measure.outputs.letters)
greet >> measure >> tell
graph.cron("* * * * *", name="minutely", inputs={"name": "cron"})
