package transfer

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"broach/internal/buffer"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// A receiverTest scripts the sender of one receiver, whose messages have 100 KiB at most and its two budgets 200 and
// 300 KiB.
type receiverTest struct {
	t   *testing.T
	now time.Time
	in  In
}

const (
	smallMessage = 100 << 10
	smallBudget  = 200 << 10
	smallMemory  = 400 << 10
)

func newReceiverTest(t *testing.T) *receiverTest {
	r := &receiverTest{t: t, now: epoch}
	r.in.Init(smallMessage, smallBudget, &buffer.Budget{Size: smallMemory})
	return r
}

func (r *receiverTest) advance(d time.Duration) { r.now = r.now.Add(d) }

// fragment takes the fragment of a message of zeros.
func (r *receiverTest) fragment(id uint32, total, size int, index uint32) (body []byte, code wire.Code) {
	return r.take(fragmentOf(id, make([]byte, total), size, index))
}

func (r *receiverTest) take(f wire.Fragment) (body []byte, code wire.Code) {
	body, code = r.in.Fragment(r.now, 1, f)
	checkReceiver(r.t, &r.in, int64(len(body)))
	return body, code
}

// acks returns all acknowledgements that are due.
func (r *receiverTest) acks() (list []wire.FragmentAck) {
	for a, ok := r.in.NextAck(); ok; a, ok = r.in.NextAck() {
		if a.Bitmap = bytes.Clone(a.Bitmap); len(a.Bitmap) == 0 {
			a.Bitmap = nil
		}
		require.EqualValues(r.t, 1, a.Newest)
		a.Newest = 0 // for ackOf to be equal
		list = append(list, a)
	}
	return list
}

func fragmentOf(id uint32, body []byte, size int, index uint32) wire.Fragment {
	from := int(index) * size
	return wire.Fragment{
		Transfer: id, Total: uint32(len(body)), Size: uint16(size), Index: index,
		Data: body[from:min(from+size, len(body))],
	}
}

// [FRAG-4] A receiver acknowledges at the end of each batch of datagrams, and at once when all has arrived (base is the
// number of fragments).
func TestReceiveAcknowledges(t *testing.T) {
	r := newReceiverTest(t)
	body := randomBytes(rand.New(rand.NewPCG(1, 1)), 5*256+1)
	for _, index := range []uint32{0, 1, 5, 3} {
		got, code := r.take(fragmentOf(9, body, 256, index))
		require.Nil(t, got)
		require.Zero(t, code)
	}
	require.Equal(t, []wire.FragmentAck{ackOf(9, 2, 2+fragmentSpan, 3, 5)}, r.acks(), "one for the batch")
	require.Empty(t, r.acks(), "once")

	r.take(fragmentOf(9, body, 256, 3))
	require.Len(t, r.acks(), 1, "a duplicate is acknowledged: the acknowledgement may have been lost")

	r.take(fragmentOf(9, body, 256, 4))
	got, _ := r.take(fragmentOf(9, body, 256, 2))
	require.Equal(t, body, got)
	require.Equal(t, []wire.FragmentAck{ackOf(9, 6, 6+fragmentSpan)}, r.acks())
}

// [FRAG-1] A fragment MUST be dropped when its data is not as long as total, size and index demand, or total or size
// differ from the transfer's first fragment.
func TestReceiveHostileFragments(t *testing.T) {
	for name, f := range map[string]wire.Fragment{
		"no transfer":            fragmentOf(0, make([]byte, 1000), 256, 0),
		"no total":               {Transfer: 1, Total: 0, Size: 256},
		"size 0":                 {Transfer: 1, Total: 1000, Size: 0},
		"size below 256":         fragmentOf(1, make([]byte, 1000), 255, 0),
		"data too short":         {Transfer: 1, Total: 1000, Size: 256, Data: make([]byte, 255)},
		"data too long":          {Transfer: 1, Total: 1000, Size: 256, Data: make([]byte, 257)},
		"no data":                {Transfer: 1, Total: 1000, Size: 256},
		"last one too long":      {Transfer: 1, Total: 1000, Size: 256, Index: 3, Data: make([]byte, 256)},
		"index beyond the total": {Transfer: 1, Total: 1024, Size: 256, Index: 4, Data: make([]byte, 256)},
		"the same, without data": {Transfer: 1, Total: 1024, Size: 256, Index: 4},
		"index beyond 32 bits": {Transfer: 1, Total: 1<<32 - 1, Size: 1<<16 - 1, Index: 1<<32 - 1,
			Data: make([]byte, 1<<16-1)},
		"another total than first": fragmentOf(2, make([]byte, 1001), 256, 1),
		"another size than first":  fragmentOf(2, make([]byte, 1000), 300, 1),
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiverTest(t)
			r.fragment(2, 1000, 256, 0)
			r.acks()
			body, code := r.take(f)
			require.Nil(t, body)
			require.Zero(t, code)
			require.Empty(t, r.acks(), "it is not answered")
			require.Equal(t, int64(1000), r.in.Held.Used())
			require.Equal(t, uint32(1), r.in.transfers[2].base)
		})
	}
}

// [FRAG-2] A receiver [...] accepts only fragments below its limit.
func TestReceiveLimit(t *testing.T) {
	r := newReceiverTest(t)
	r.in.Init(1<<20, 1<<20, &buffer.Budget{Size: 2 << 20})
	body := make([]byte, 1<<20)
	r.take(fragmentOf(1, body, 256, 0))
	r.take(fragmentOf(1, body, 256, 1025))
	require.Equal(t, []wire.FragmentAck{ackOf(1, 1, 1025)}, r.acks(), "1025 was not taken")
	r.take(fragmentOf(1, body, 256, 1024))
	require.Equal(t, []wire.FragmentAck{ackOf(1, 1, 1025, 1024)}, r.acks())
	r.take(fragmentOf(1, body, 256, 1))
	r.take(fragmentOf(1, body, 256, 1025))
	require.Equal(t, []wire.FragmentAck{ackOf(1, 2, 1026, 1024, 1025)}, r.acks())
}

// [FRAG-3] A total above the receiver's message limit is refused with Stop, TooLarge
func TestReceiveTooLarge(t *testing.T) {
	r := newReceiverTest(t)
	_, code := r.fragment(1, smallMessage+1, 1000, 0)
	require.Equal(t, wire.TooLarge, code)
	require.Empty(t, r.acks())
	require.Zero(t, r.in.Held.Used())
	_, code = r.fragment(2, smallMessage, 1000, 0)
	require.Zero(t, code, "this one is not")

	r.in.Init(smallMessage, 1000, &buffer.Budget{Size: smallMemory})
	_, code = r.fragment(1, 1001, 1000, 0)
	require.Equal(t, wire.TooLarge, code, "it would wait for ever to fit the budget")
}

// [FRAG-8] A finished transfer is remembered: its fragments are answered with the final FragmentAck and MUST NOT be
// delivered again.
func TestReceiveFinishedTransfers(t *testing.T) {
	r := newReceiverTest(t)
	for id := uint32(1); id <= 10_000; id++ {
		body, _ := r.fragment(id, 300, 256, 0)
		require.Nil(t, body)
		body, _ = r.fragment(id, 300, 256, 1)
		require.Len(t, body, 300)
		r.in.Release(300)
	}
	r.acks()
	for _, id := range []uint32{10_000, 9_999, 5_000, 1_809, 1_808, 1_800, 1} {
		for index := range uint32(2) {
			body, code := r.fragment(id, 300, 256, index)
			require.Nil(t, body)
			require.Zero(t, code)
		}
		require.Equal(t, []wire.FragmentAck{ackOf(id, 2, 2+fragmentSpan)}, r.acks())
	}
	require.Zero(t, r.in.Held.Used())
}

// What a peer asks to be answered in one batch has a bound.
func TestReceiveAnswersAreBounded(t *testing.T) {
	r := newReceiverTest(t)
	for id := range uint32(1000) {
		r.in.endings.add(id+1, delivered)
		r.fragment(id+1, 300, 256, 0)
	}
	require.Len(t, r.acks(), maxAnswers)
}

// [FRAG-9] An unfinished transfer that got no new fragment for 10 s is dropped.
func TestReceiveExpires(t *testing.T) {
	r := newReceiverTest(t)
	require.Zero(t, r.in.NextTimeout())
	r.fragment(1, 1000, 256, 0)
	r.fragment(2, 1000, 256, 0)
	r.advance(6 * time.Second)
	r.fragment(1, 1000, 256, 0) // not a new one
	r.fragment(2, 1000, 256, 1)

	require.Equal(t, epoch.Add(10*time.Second), r.in.NextTimeout())
	r.advance(4*time.Second - 1)
	r.in.Expire(r.now)
	require.Len(t, r.in.transfers, 2)
	r.advance(1)
	r.in.Expire(r.now)
	require.Len(t, r.in.transfers, 1)
	require.Equal(t, int64(1000), r.in.Held.Used())

	t.Log("its sender may still believe that it has arrived in part: the transfer cannot begin anew")
	_, code := r.fragment(1, 1000, 256, 3)
	require.Equal(t, wire.Unreachable, code)

	r.now = r.in.NextTimeout()
	require.Equal(t, epoch.Add(16*time.Second), r.now)
	r.in.Expire(r.now)
	require.Empty(t, r.in.transfers)
	require.Zero(t, r.in.Held.Of.Used())
	require.Zero(t, r.in.NextTimeout())
	require.Empty(t, r.acks())
}

func TestReceiveExpiresInOrder(t *testing.T) {
	r := newReceiverTest(t)
	for id := range uint32(10) {
		r.fragment(id+1, 1000, 256, 0)
		r.advance(time.Second)
	}
	for left := 9; left >= 0; left-- {
		r.in.Expire(r.now)
		require.Len(t, r.in.transfers, left)
		r.advance(time.Second)
		if left > 0 {
			require.Equal(t, r.now, r.in.NextTimeout())
		}
	}
}

func TestReceiveStop(t *testing.T) {
	r := newReceiverTest(t)
	r.fragment(1, 1000, 256, 0)
	r.in.Stop(1)
	r.in.Stop(2)
	require.Empty(t, r.acks())
	require.Zero(t, r.in.Held.Used())
	require.Zero(t, r.in.Held.Of.Used())
	for id := range uint32(2) {
		_, code := r.fragment(id+1, 1000, 256, 1)
		require.Equal(t, wire.Unreachable, code, "a late fragment begins nothing")
	}
	require.Zero(t, r.in.Held.Used())
}

// A transfer begins when it fits the budget. Until then it is acknowledged with limit 0, and leaves no trace.
func TestReceiveBudget(t *testing.T) {
	r := newReceiverTest(t)
	const third = 70 << 10
	notNow := func(id uint32) []wire.FragmentAck { return []wire.FragmentAck{{Transfer: id}} }
	r.fragment(1, third, 1000, 0)
	r.fragment(2, third, 1000, 0)
	r.acks()
	r.fragment(3, third, 1000, 0)
	require.Equal(t, notNow(3), r.acks())
	require.Len(t, r.in.transfers, 2)

	t.Log("3 is first: 4 would fit, but must not overtake it for ever")
	r.fragment(4, 10, 256, 0)
	require.Equal(t, notNow(4), r.acks())

	t.Log("what was reserved is free when the message is released")
	for i := range uint32(third/1000 + 1) {
		r.in.Fragment(r.now, 1, fragmentOf(1, make([]byte, third), 1000, i))
	}
	require.NotContains(t, r.in.transfers, uint32(1))
	r.acks()
	r.in.Fragment(r.now, 1, fragmentOf(3, make([]byte, third), 1000, 0))
	require.Equal(t, notNow(3), r.acks())
	r.in.Release(third)
	r.fragment(3, third, 1000, 0)
	require.Equal(t, []wire.FragmentAck{ackOf(3, 1, 1025)}, r.acks())
	body, _ := r.take(fragmentOf(4, make([]byte, 10), 256, 0))
	require.Len(t, body, 10)
}

// A transfer that is first and not heard of any more does not keep the others out.
func TestReceiveTurnEnds(t *testing.T) {
	for name, end := range map[string]func(*receiverTest){
		"stopped":      func(r *receiverTest) { r.in.Stop(2) },
		"silent":       func(r *receiverTest) { r.advance(turnTime) },
		"has its turn": func(r *receiverTest) { r.in.Stop(1); r.fragment(2, smallMessage, 1000, 0) },
	} {
		r := newReceiverTest(t)
		r.fragment(1, smallMessage, 1000, 0)
		r.fragment(5, smallMessage-1000, 1000, 0)
		r.fragment(2, smallMessage, 1000, 0)
		body, _ := r.fragment(3, 10, 256, 0)
		require.Nil(t, body, "2 is first")
		end(r)
		body, _ = r.fragment(3, 10, 256, 0)
		require.Len(t, body, 10, name)
	}
}

// What all links together reserve has a bound as well. It is not waited for in turn.
func TestReceiveMemoryOfTheNode(t *testing.T) {
	r, other := newReceiverTest(t), newReceiverTest(t)
	other.in.Held.Of = r.in.Held.Of
	r.fragment(1, smallMessage, 1000, 0)
	r.fragment(2, smallMessage, 1000, 0)
	other.fragment(1, smallMessage-10, 1000, 0)
	other.fragment(2, 1000, 1000, 0)
	require.Len(t, other.in.transfers, 1)
	body, _ := other.take(fragmentOf(3, make([]byte, 10), 256, 0))
	require.Len(t, body, 10, "there is room for so many")
	other.in.Release(10)

	r.in.Close()
	other.fragment(2, 1000, 256, 0)
	require.Len(t, other.in.transfers, 2)
	other.in.Close()
	require.Zero(t, r.in.Held.Of.Used())
}

func TestReceiveAtMost64Transfers(t *testing.T) {
	r := newReceiverTest(t)
	for id := range uint32(maxTransfers) {
		r.fragment(id+1, 300, 256, 0)
	}
	require.Len(t, r.acks(), maxTransfers)
	body, _ := r.fragment(100, 1, 256, 0)
	require.Nil(t, body)
	require.Equal(t, []wire.FragmentAck{{Transfer: 100}}, r.acks())
	body, _ = r.fragment(5, 300, 256, 1)
	require.NotNil(t, body)
	r.in.Release(300)
	body, _ = r.fragment(100, 1, 256, 0)
	require.NotNil(t, body)
}

func TestReceiveIDsWrap(t *testing.T) {
	r := newReceiverTest(t)
	for _, id := range []uint32{1<<32 - 2, 1<<32 - 1, 1, 2} {
		body, _ := r.fragment(id, 1, 256, 0)
		require.NotNil(t, body)
		r.in.Release(1)
	}
	for _, id := range []uint32{1<<32 - 2, 1<<32 - 1, 1, 2} {
		body, _ := r.fragment(id, 1, 256, 0)
		require.Nil(t, body)
	}
}
