# SPDX-License-Identifier: MIT
# usage: lazy.sh CPU OUTDIR COMPILER [EMULATOR]: a program whose library is loaded on demand, and the same without the library.
set -eu
cpu=$1 out=$2/lazy_$1 cc=$3 emulator=${4:-}
here=$(cd "$(dirname "$0")" && pwd)
src=$here/../../src
rm -rf "$out" && mkdir -p "$out" && cd "$out"
flags="-std=gnu17 -D_GNU_SOURCE -O2 -Wall -Werror -fPIE -I$src"
"$cc" -O2 -fPIC -shared -Wl,-soname,liblazytest.so.1 "$here/lazy_library.c" -o liblazytest.so
cp liblazytest.so liblazytest.so.1
$cc $flags -c "$here/lazy_test.c" -o test.o
$cc $flags -c "$src/base/lazy.c" -o lazy.o
python3 "$here/../../tools/lazy" stubs.S "$cpu" lazytest "$cc -B$out" test.o
$cc $flags -c stubs.S -o stubs.o
$cc -pie -Wl,-z,relro -Wl,-z,now test.o lazy.o stubs.o -o test
run() {
    if [ -n "$emulator" ]; then
        "$emulator" -L "/usr/${cc%-gcc}" -E LD_LIBRARY_PATH="$1" ./test
    else
        LD_LIBRARY_PATH="$1" ./test
    fi
}
run "$out"
mv liblazytest.so.1 away
status=0
run "$out" 2>message || status=$?
[ "$status" -eq 127 ] && grep -q 'liblazytest.so.1.*installed' message
