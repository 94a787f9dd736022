"""What setup.cfg cannot say: the manual page is made from the table of flags while the package is built."""

from __future__ import annotations

import os
import sys
import time

from setuptools import setup

# After setuptools, which has the one that counts; it is no part of newer Pythons.
from distutils.command.install_data import install_data  # isort: skip

HERE = os.path.dirname(os.path.abspath(__file__))


class InstallData(install_data):
    """Completion scripts and the manual page, where a system looks for them."""

    def run(self) -> None:
        """Make the page first. It needs nothing that is not in this source: the table is pure."""
        sys.path.insert(0, HERE)
        from dockerpty.cli.manual import page

        # The usual way to build the same again on another day.
        made_at = float(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
        folder = os.path.join("build", "man")
        os.makedirs(folder, exist_ok=True)
        made = os.path.join(folder, "dpty.1")
        with open(made, "w", encoding="utf-8") as file:
            file.write(page(time.strftime("%Y-%m-%d", time.gmtime(made_at))))
        self.data_files.append(("share/man/man1", [made]))
        super().run()


setup(cmdclass={"install_data": InstallData})
