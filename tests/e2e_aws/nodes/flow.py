"""Graphs. In no bundle: they know the nodes of all. The first goes from a Lambda function to a container and back."""

from karman import Graph, Retry

from .faults import Count, Exit, Hang, Survive, Write
from .greeting import Greet, Tell
from .measuring import Measure

graph = Graph("greeting", retry=Retry.fixed(1, delay=0.1))
greet = graph.add(Greet, "greet")
measure = graph.add(Measure, "measure", text=greet.outputs.text)
tell = graph.add(Tell, "tell", text=greet.outputs.text, letters=measure.outputs.letters)
greet >> measure >> tell
graph.cron("* * * * *", name="minutely", inputs={"name": "cron"})

exits = Graph("exits", retry=Retry.never())
exits.add(Exit, "exit")

hangs = Graph("hangs", retry=Retry.never())
hangs.add(Hang, "hang")

survives = Graph("survives", retry=Retry.never())
survives.add(Survive, "survive")

writes = Graph("writes", retry=Retry.never())
write = writes.add(Write, "write")
count = writes.add(Count, "count", text=write.outputs.text)
write >> count
writes.cron("0 3 * * *", name="nightly", inputs={"characters": 1})
