/* SPDX-License-Identifier: MIT */
/* media.h -- the media type of a file by its name, with a charset where text needs one. */
#pragma once

#include "base/slice.h"

struct slice media_type(struct slice name); /* "application/octet-stream" when unknown */
