# SPDX-License-Identifier: MIT
# usage: switch.sh KIND OUTDIR COMPILER [EMULATOR]: build rt_switch_test with one switch and run it.
set -eu
kind=$1 out=$2/rt_switch_$1 cc=$3 emulator=${4:-}
src=$(dirname "$0")/../../src
case $kind in ucontext) switch=$src/rt/switch_ucontext.c ;; *) switch=$src/rt/switch_$kind.S ;; esac
"$cc" -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Werror -I"$src" $([ -z "$emulator" ] || echo -static) \
    "$(dirname "$0")/rt_switch_test.c" "$switch" -o "$out"
exec $emulator "$out"
