package wire

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// Each target holds the same of its decoder: it never panics; what it takes comes back when it is appended and consumed
// again; and it is no longer on the wire than it came, so nothing was made up.

// fuzzBody fuzzes the decoder of one kind of message.
func fuzzBody[M appender](f *testing.F, kind Kind, consume func([]byte) (M, error)) {
	for _, s := range samples {
		if s.kind == kind {
			f.Add(s.body())
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > math.MaxUint16 {
			return // no frame has such a body
		}
		m, err := consume(body)
		if err != nil {
			return
		}
		requireSameAgain(t, kind, body, m, consume)
	})
}

func requireSameAgain[M appender](t *testing.T, kind Kind, body []byte, m M, consume func([]byte) (M, error)) {
	gotKind, again, rest, err := ConsumeMessage(m.Append(nil))
	require.NoError(t, err)
	require.Equal(t, kind, gotKind)
	require.Empty(t, rest)
	got, err := consume(again)
	require.NoError(t, err)
	require.Equal(t, m, got)
	require.LessOrEqual(t, len(again), len(body))
}

func FuzzRequest(f *testing.F)     { fuzzBody(f, KindRequest, ConsumeRequest) }
func FuzzSend(f *testing.F)        { fuzzBody(f, KindSend, ConsumeSend) }
func FuzzReply(f *testing.F)       { fuzzBody(f, KindReply, ConsumeReply) }
func FuzzProgress(f *testing.F)    { fuzzBody(f, KindProgress, ConsumeProgress) }
func FuzzPoll(f *testing.F)        { fuzzBody(f, KindPoll, ConsumePoll) }
func FuzzCancel(f *testing.F)      { fuzzBody(f, KindCancel, ConsumeCancel) }
func FuzzFragment(f *testing.F)    { fuzzBody(f, KindFragment, ConsumeFragment) }
func FuzzFragmentAck(f *testing.F) { fuzzBody(f, KindFragmentAck, ConsumeFragmentAck) }
func FuzzStop(f *testing.F)        { fuzzBody(f, KindStop, ConsumeStop) }
func FuzzChunk(f *testing.F)       { fuzzBody(f, KindChunk, ConsumeChunk) }
func FuzzProbe(f *testing.F)       { fuzzBody(f, KindProbe, ConsumeProbe) }
func FuzzProbeAck(f *testing.F)    { fuzzBody(f, KindProbeAck, ConsumeProbeAck) }
func FuzzJoin(f *testing.F)        { fuzzBody(f, KindJoin, ConsumeJoin) }
func FuzzAnnounce(f *testing.F)    { fuzzBody(f, KindAnnounce, ConsumeAnnounce) }
func FuzzList(f *testing.F)        { fuzzBody(f, KindList, ConsumeList) }
func FuzzDelta(f *testing.F)       { fuzzBody(f, KindDelta, ConsumeDelta) }

// The other messages of the membership are few fields each; one target reaches them all.
func FuzzMembership(f *testing.F) {
	for _, s := range samples {
		f.Add(uint8(s.kind), s.body())
	}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		if len(body) > math.MaxUint16 {
			return
		}
		consume := func(b []byte) (Message, error) { return ConsumeMembership(Kind(kind), b) }
		m, err := consume(body)
		if err != nil {
			require.Nil(t, m)
			return
		}
		require.Equal(t, Kind(kind), m.Kind())
		requireSameAgain(t, Kind(kind), body, m, consume)
	})
}

func FuzzHeader(f *testing.F) {
	f.Add(AppendHeader(nil, someHeader))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, rest, err := ConsumeHeader(b)
		if err != nil {
			return
		}
		require.Equal(t, b, append(AppendHeader(nil, h), rest...))
	})
}

// fuzzHandshake fuzzes the decoder of one form. After the first four bytes, which are ConsumeHeader's, no byte is lost
// but those that are ignored: n from zeros on.
func fuzzHandshake[M any](
	f *testing.F, m M, appendTo func([]byte, M) []byte, consume func([]byte) (M, error), zeros, n int,
) {
	seed := appendTo(nil, m)
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := consume(b)
		if err != nil {
			return
		}
		require.GreaterOrEqual(t, len(b), len(seed))
		want := bytes.Clone(b[:len(seed)])
		want[0], want[1], want[3] = seed[0], seed[1], seed[3]
		clear(want[zeros : zeros+n])
		require.Equal(t, want, appendTo(nil, m))
	})
}

func FuzzOpen(f *testing.F) {
	fuzzHandshake(f, goldenOpen, AppendOpen, ConsumeOpen, OpenSize-ProofSize-addrSize, addrSize)
}

func FuzzOffer(f *testing.F) { fuzzHandshake(f, goldenOffer, AppendOffer, ConsumeOffer, 0, 0) }

func FuzzConfirm(f *testing.F) {
	fuzzHandshake(f, goldenConfirm, AppendConfirm, func(b []byte) (Confirm, error) {
		m, _, err := ConsumeConfirm(b)
		return m, err
	}, 0, 0)
}

// A datagram of any bytes is messages to its end, or to an error, and every byte of it belongs to one.
func FuzzMessage(f *testing.F) {
	var all []byte
	for _, s := range samples {
		all = s.message.Append(all)
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			kind, body, rest, err := ConsumeMessage(b)
			if err != nil {
				require.Equal(t, ErrShort, err)
				return
			}
			again := append(endFrame(append(startFrame(nil, kind), body...), 0), rest...)
			require.Equal(t, b, again)
			b = rest
		}
	})
}

// The fuzzer does not guess a hash: it is given the table without one.
func FuzzTable(f *testing.F) {
	for _, fns := range [][]Function{
		nil, {{Name: "work01", Signature: "(int) bool"}, {Name: "work02", Signature: "()"}},
		{{Name: "\x00own"}, {Name: "中", Weight: 1}, {Name: "丰", Doc: "d", Idempotent: true}},
	} {
		b := AppendTable(nil, fns)
		f.Add(b[:len(b)-hashSize])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := ConsumeTable(b); err == nil { // an input of the corpus may end with its hash
			require.Equal(t, hashed(b[:len(b)-hashSize]...), b)
		}
		fns, err := ConsumeTable(hashed(b...))
		if err != nil {
			return
		}
		require.LessOrEqual(t, 2+len(fns)*rowFloor, len(b))
		for i, fn := range fns {
			require.True(t, isName(fn.Name), "%q", fn.Name)
			require.True(t, i == 0 || fns[i-1].Name < fn.Name, "%q", fn.Name)
		}
		again, err := ConsumeTable(AppendTable(nil, fns))
		require.NoError(t, err)
		require.Equal(t, fns, again)
	})
}

// isName is the rule for names in a table, said of the whole name. The protocol's own begin with a NUL byte.
func isName(s string) bool {
	return s != "" && len(s) <= MaxName && utf8.ValidString(s) &&
		!strings.HasPrefix(s, "__") && !strings.ContainsFunc(strings.TrimPrefix(s, "\x00"), unicode.IsControl)
}
