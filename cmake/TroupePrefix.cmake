# Where scripts/deps installs unless it is told otherwise.
if(DEFINED ENV{TROUPE_PREFIX})
  set(troupe_default_prefix $ENV{TROUPE_PREFIX})
elseif(DEFINED ENV{XDG_CACHE_HOME})
  set(troupe_default_prefix $ENV{XDG_CACHE_HOME}/troupe/prefix)
else()
  set(troupe_default_prefix $ENV{HOME}/.cache/troupe/prefix)
endif()
