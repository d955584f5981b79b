# SPDX-License-Identifier: MIT
"""stamp_check.py -- STAMP packets looked at byte by byte, from the text of RFC 8762 and RFC 8972 alone.

Shares nothing with src/: offsets are written out here once more. test() and reply() give the fields as a dict after
checking everything that the standard fixes; a breach raises AssertionError with what was found where.
"""
import hashlib
import hmac
import struct

NTP_EPOCH = 2208988800
PLAIN, AUTH = 44, 112


def check(ok, what):
    if not ok:
        raise AssertionError('STAMP: ' + what)


def zeros(data, at, n, what):
    check(data[at:at + n] == bytes(n), f'{what}: octets {at}..{at + n - 1} must be zero, are {data[at:at + n].hex()}')


def seconds(raw, estimate):
    high, low = raw >> 32, raw & 0xffffffff
    if estimate & 0x4000:  # Z: PTPv2 truncated
        check(low < 1000000000, f'{low} nanoseconds in a PTP time stamp')
        return high + low / 1e9
    return high - NTP_EPOCH + low / 2**32


def estimate(value, what):
    check(value & 0xff, f'{what}: the multiplier of the error estimate is 0 (0x{value:04x})')
    return value


def tag(key, data):
    return hmac.new(key, data[:96], hashlib.sha256).digest()[:16]


def tlvs(data, at):
    """[(flags, type, value)] of what follows the base packet."""
    found = []
    while len(data) - at >= 4:
        flags, kind, length = struct.unpack_from('!BBH', data, at)
        check(at + 4 + length <= len(data), f'TLV at {at} is longer than the packet')
        check(flags & 0x1f == 0, f'TLV at {at}: reserved flags are set (0x{flags:02x})')
        found.append((flags, kind, data[at + 4:at + 4 + length]))
        at += 4 + length
    return found


def test(data, key=None):
    if key is None:
        check(len(data) >= PLAIN, f'{len(data)} octets are too few for a test packet')
        seq, t1, err, ssid = struct.unpack_from('!IQHH', data, 0)
        zeros(data, 16, 28, 'test')
        rest = tlvs(data, PLAIN)
    else:
        check(len(data) >= AUTH, f'{len(data)} octets are too few for an authenticated test packet')
        seq, = struct.unpack_from('!I', data, 0)
        zeros(data, 4, 12, 'test')
        t1, err, ssid = struct.unpack_from('!QHH', data, 16)
        zeros(data, 28, 68, 'test')
        check(hmac.compare_digest(data[96:112], tag(key, data)), 'the HMAC of the test packet is wrong')
        rest = tlvs(data, AUTH)
    for flags, _, _ in rest:
        check(flags == 0x80, f'a sender must set U alone, set 0x{flags:02x}')
    return dict(seq=seq, t1=seconds(t1, err), t1_raw=t1, err=estimate(err, 'test'), ssid=ssid, tlvs=rest)


def reply(data, key=None):
    if key is None:
        check(len(data) >= PLAIN, f'{len(data)} octets are too few for a reply')
        seq, t3, err, ssid, t2, sender_seq, t1, sender_err = struct.unpack_from('!IQHHQIQH', data, 0)
        zeros(data, 38, 2, 'reply')
        ttl = data[40]
        zeros(data, 41, 3, 'reply')
        rest = tlvs(data, PLAIN)
    else:
        check(len(data) >= AUTH, f'{len(data)} octets are too few for an authenticated reply')
        seq, = struct.unpack_from('!I', data, 0)
        zeros(data, 4, 12, 'reply')
        t3, err, ssid = struct.unpack_from('!QHH', data, 16)
        zeros(data, 28, 4, 'reply')
        t2, = struct.unpack_from('!Q', data, 32)
        zeros(data, 40, 8, 'reply')
        sender_seq, = struct.unpack_from('!I', data, 48)
        zeros(data, 52, 12, 'reply')
        t1, sender_err = struct.unpack_from('!QH', data, 64)
        zeros(data, 74, 6, 'reply')
        ttl = data[80]
        zeros(data, 81, 15, 'reply')
        check(hmac.compare_digest(data[96:112], tag(key, data)), 'the HMAC of the reply is wrong')
        rest = tlvs(data, AUTH)
    t2s, t3s = seconds(t2, err), seconds(t3, err)
    check(t2s <= t3s, f'answered ({t3s}) before it was received ({t2s})')
    return dict(seq=seq, t3=t3s, err=estimate(err, 'reply'), ssid=ssid, t2=t2s, sender_seq=sender_seq, t1_raw=t1,
                sender_err=sender_err, ttl=ttl, tlvs=rest)


def make_test(seq, t1, err=0x8001, ssid=0, key=None, extra=b''):
    if key is None:
        return struct.pack('!IQHH28x', seq, t1, err, ssid) + extra
    data = struct.pack('!I12xQHH68x', seq, t1, err, ssid)
    return data + tag(key, data) + extra


def make_reply(request, seq, received, sent, key=None, ttl=255):
    """What a reflector answers; times in seconds since 1970, NTP format."""
    def ntp(t):
        return (int(t) + NTP_EPOCH) << 32 | int((t % 1) * 2**32)
    if key is None:
        s, t1, err, ssid = struct.unpack_from('!IQHH', request, 0)
        return struct.pack('!IQHHQIQH2xB3x', seq, ntp(sent), 0x0001, ssid, ntp(received), s, t1, err, ttl)
    s, = struct.unpack_from('!I', request, 0)
    t1, err, ssid = struct.unpack_from('!QHH', request, 16)
    data = struct.pack('!I12xQHH4xQ8xI12xQH6xB15x', seq, ntp(sent), 0x0001, ssid, ntp(received), s, t1, err, ttl)
    return data + tag(key, data)
