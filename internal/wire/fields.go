package wire

import (
	"encoding/binary"
	"math"
	"net/netip"
	"unicode/utf8"
)

// fields consumes one field after the other, for messages off the hot path. After the first error every field is zero,
// so that a consumer looks at err once, at its end; strings and bytes alias the input.
type fields struct {
	b   []byte // what is left
	err error  // the first error
}

// fail keeps the first error.
func (f *fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

// bytes takes n bytes; nil after an error.
func (f *fields) bytes(n int) []byte {
	if len(f.b) < n {
		f.fail(ErrShort)
	}
	if f.err != nil {
		return nil
	}
	var v []byte
	v, f.b = f.b[:n:n], f.b[n:]
	return v
}

func (f *fields) uint8() uint8 {
	if v := f.bytes(1); v != nil {
		return v[0]
	}
	return 0
}

func (f *fields) uint16() uint16 {
	if v := f.bytes(2); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

func (f *fields) uint32() uint32 {
	if v := f.bytes(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (f *fields) uint64() uint64 {
	if v := f.bytes(8); v != nil {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

// bool takes a byte of 0 or 1.
func (f *fields) bool() bool {
	v := f.uint8()
	if v > 1 {
		f.fail(ErrField)
	}
	return v == 1
}

// string takes a length and as many bytes of UTF-8.
func (f *fields) string() []byte {
	v := f.bytes(int(f.uint8()))
	if !utf8.Valid(v) {
		f.fail(ErrField)
	}
	return v
}

// bootID takes a boot id. None is 0, so that 0 can stand for an unknown process everywhere else.
func (f *fields) bootID() uint64 {
	v := f.uint64()
	if v == 0 {
		f.fail(ErrField)
	}
	return v
}

// incarnation takes what a process says of itself. None is 0, so that 0 can stand for one that has not said it yet.
func (f *fields) incarnation() uint32 {
	v := f.uint32()
	if v == 0 {
		f.fail(ErrField)
	}
	return v
}

// addr takes an address of a hello or target. Each has one encoding only: an IPv4 address in the clothes of IPv6 is
// refused.
func (f *fields) addr() netip.AddrPort {
	ip := f.ip()
	port := f.uint16()
	if port == 0 || ip.Is4In6() {
		f.fail(ErrField)
	}
	return netip.AddrPortFrom(ip, port)
}

// ip takes the family and the IP of an address.
func (f *fields) ip() netip.Addr {
	size := 4
	switch f.uint8() {
	case 4:
	case 6:
		size = 16
	default:
		f.fail(ErrField)
	}
	ip, _ := netip.AddrFromSlice(f.bytes(size)) // of nil it is the zero Addr, and there is an error already
	return ip
}

// appendString appends a string with its length of one byte.
func appendString[T string | []byte](b []byte, s T) []byte {
	if len(s) > math.MaxUint8 {
		panic("broach: internal error: string longer than its length field can say")
	}
	b = append(b, byte(len(s)))
	return append(b, s...)
}

// appendBool appends a byte of 0 or 1.
func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// appendAddr appends an address. Zones mean something on their own host only and do not travel.
func appendAddr(b []byte, a netip.AddrPort) []byte {
	switch ip := a.Addr().Unmap(); {
	case ip.Is4():
		v := ip.As4()
		b = append(append(b, 4), v[:]...)
	case ip.Is6():
		v := ip.As16()
		b = append(append(b, 6), v[:]...)
	default:
		panic("broach: internal error: address without IP")
	}
	return binary.BigEndian.AppendUint16(b, a.Port())
}
