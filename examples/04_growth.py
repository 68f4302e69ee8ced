"""Let nodes add nodes: a crawl that finds its own graph.

Each page that is read calls `visit` for the links on it, from inside a node. The run owns these too: leaving it
waits until no page is left, however many there turn out to be. `run.graph()` then tells which node called which.

Output:

    read 7 pages, 3 of them found on page 'index'
    links that lead nowhere: ['gone']

    who called whom:
      main -> Crawl.visit('index')
      Crawl.visit('index') -> Crawl.visit('guide')
      Crawl.visit('index') -> Crawl.visit('reference')
      Crawl.visit('index') -> Crawl.visit('news')
      Crawl.visit('guide') -> Crawl.visit('install')
      Crawl.visit('guide') -> Crawl.visit('first-steps')
      Crawl.visit('reference') -> Crawl.visit('errors')
      Crawl.visit('news') -> Crawl.visit('gone')
"""

import asyncio

from aiodag import Run, task

SITE = {
    "index": ["guide", "reference", "news"],
    "guide": ["install", "first-steps", "index"],
    "reference": ["errors", "guide"],
    "news": ["gone"],
    "install": ["first-steps"],
    "first-steps": [],
    "errors": ["index"],
}


class Crawl:
    """Remember which pages are known, so that each is read once although links go round in circles."""

    def __init__(self, site):
        self.site = site
        self.pages = {}
        self.dead = []
        self.known = set()

    @task(limit=3)
    async def visit(self, page):
        """Read a page and visit what it links to; does not wait for those visits."""
        await asyncio.sleep(0.01)
        if page not in self.site:
            self.dead.append(page)
            return
        self.pages[page] = self.site[page]
        for link in self.pages[page]:
            self.follow(link)

    def follow(self, page):
        """Call `visit` for a page that nobody has called it for."""
        if page not in self.known:
            self.known.add(page)
            self.visit(page)


async def main():
    crawl = Crawl(SITE)
    async with Run("crawl") as run:
        crawl.follow("index")

    print(f"read {len(crawl.pages)} pages, {len(crawl.pages['index'])} of them found on page 'index'")
    print(f"links that lead nowhere: {crawl.dead}")
    graph = run.graph()
    labels = {node.id: node.label for node in graph.nodes}
    print("\nwho called whom:")
    for node in graph.nodes:
        print(f"  {labels.get(node.parent, 'main')} -> {node.label}")


if __name__ == "__main__":
    asyncio.run(main())
