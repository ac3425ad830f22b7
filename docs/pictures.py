"""What an example of the gallery ends with is its picture: a Figure, an Axes, or a dict of them."""

import matplotlib as mpl
from matplotlib.axes import Axes
from sphinx_gallery.scrapers import figure_rst

from archbias import plots


def styled(gallery_conf, name):
    """Every example starts from the style `notebook`."""
    with plots.style("notebook"):
        look = dict(mpl.rcParams)
    mpl.rcParams.update(look)


class Pictures:
    """A scraper for figures that pyplot does not know."""

    def __repr__(self):
        return "Pictures()"

    def __call__(self, block, block_vars, gallery_conf):
        """Save the figures of the last expression; returns what shows them."""
        last = block_vars["example_globals"].pop("___", None)
        shown = list(last.values()) if isinstance(last, dict) else [last]
        block_vars["example_globals"]["___"] = None
        paths = []
        for one in shown:
            figure = one.get_figure(root=True) if isinstance(one, Axes) else one
            if hasattr(figure, "savefig"):
                path = str(next(block_vars["image_path_iterator"]))
                figure.savefig(path, dpi=160)
                paths.append(path)
        return figure_rst(paths, gallery_conf["src_dir"])
