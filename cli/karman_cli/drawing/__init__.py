"""Pictures of graphs: what to draw (`diagram`), where (`layers`, `layout`), and how (`svg`, `mermaid`)."""
