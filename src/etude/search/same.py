"""What a folder's search is, and that no other one's trials come into it."""

from optuna import Study

from etude.base.errors import UserError
from etude.search.settings import SearchConf
from etude.search.space import Space, check_seeds

_ABOUT = "about"  # the study's note of what it is a search for


def check_same(study: Study, space: Space, settings: SearchConf) -> None:
    """Refuse to mix the trials of two searches.

    Raises:
        UserError: The folder holds another one's.
    """
    shared = settings.identity or " ".join(sorted(space.shared))
    now = {**space.describe(), "metric": ",".join(settings.metrics), "shared": shared}
    if settings.seeds:
        check_seeds(space)
        now["seeds"] = str(settings.seeds)
    then: dict[str, str] | None = study.user_attrs.get(_ABOUT)
    if then is None:
        study.set_user_attr(_ABOUT, now)
    elif then != now:
        changed = [key for key in {**then, **now} if then.get(key) != now.get(key)]
        what = "what its jobs share" if changed == ["shared"] else ", ".join(changed)
        raise UserError(
            f"this folder holds another search ({what} differs); give this one its own: "
            "name=<another>, or hydra.sweep.dir=<another>"
        )
