"""Servers by name: the file that `karman login` writes and clients read."""

from __future__ import annotations

from karman._internal.http.profiles import Profile, Profiles, load_profiles, profiles_path, save_profiles

__all__ = ["Profile", "Profiles", "load_profiles", "profiles_path", "save_profiles"]
