"""The folder that a container worker's image is built from when its stack is deployed."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from karman_infra.bundles.build import CACHE, cache_folder, hash_of
from karman_infra.bundles.dependencies import LOCK
from karman_infra.bundles.sources import NodeSource, own_files
from karman_runtime.images import DOCKERFILE, PACKAGES, stage


def image_context(source: NodeSource, cache: Path = CACHE) -> Path:
    """Put it together, unless it is there already: it is named by what is in it."""
    files = source.files()
    everything = {**own_files(PACKAGES), **files}
    digest = hash_of(everything, DOCKERFILE.read_text(encoding="utf-8"), LOCK.read_text(encoding="utf-8"))
    target = cache_folder(cache) / f"image-{digest[:32]}"
    if not target.is_dir():
        with tempfile.TemporaryDirectory(dir=target.parent, suffix=".part") as part:
            app = Path(part) / "app"
            for place, path in files.items():
                (app / place).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, app / place)
            staged = stage(app, LOCK, Path(part) / "context")
            staged.rename(target)
    return target
