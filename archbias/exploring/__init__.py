"""Pictures to point at: what a machine's pixels believe, and who predicts what a family draws.

archbias.explore(machine)          in a notebook; `network=` follows a network's way
archbias.explore("runs/mine")      samples beside predictions, by group, family and seed
archbias.explore(machine, path="pixel.html")       a page of its own instead

ways      a machine's beliefs along samples' ways, as labelled arrays
scene     labelled arrays as one dictionary: everything the script draws
widget    the scene in a notebook (anywidget); `widget.js` draws it
page      the scene in a page that fetches nothing; reports show it too
"""

from .call import explore
from .page import page, sources
from .scene import of_store, of_ways, scenes
from .ways import ways

__all__ = ["explore", "of_store", "of_ways", "page", "scenes", "sources", "ways"]
