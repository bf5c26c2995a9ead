package udp

import "net"

// plainTransport moves datagrams one by one over any Conn: the path for systems without
// batched calls, for in-memory networks and for sockets of the user's own kind.
type plainTransport struct {
	socket
	buf []byte // the reader's; one byte over MaxDatagram: a read that fills it has lost its end
}

func newPlainTransport(conn Conn) *plainTransport {
	t := &plainTransport{buf: make([]byte, MaxDatagram+1)}
	t.open(conn)
	return t
}

// Receive returns one datagram: asking a Conn for a second could block.
func (t *plainTransport) Receive(in []Datagram, _ bool) (int, error) {
	for {
		n, from, err := t.conn.ReadFromUDPAddrPort(t.buf)
		t.counts.callsIn.Add(1)
		switch {
		case err != nil:
			if err := t.readFailed(err); err != nil {
				return 0, err
			}
		case n > MaxDatagram:
			t.counts.Truncated.Add(1)
		default:
			t.faults.clear()
			t.counts.received(1, n)
			in[0] = Datagram{Addr: Unmapped(from), B: t.buf[:n]}
			return 1, nil
		}
	}
}

// Waited is always true: nobody can ask a Conn whether something is there.
func (t *plainTransport) Waited() bool { return true }

func (t *plainTransport) Send(out []Datagram) (int, error) {
	var calls, sent, bytes, lost int
	defer func() { t.counts.sent(calls, sent, bytes, lost) }()
	for i, d := range out {
		_, err := t.conn.WriteToUDPAddrPort(d.B, Unmapped(d.Addr))
		calls++
		switch {
		case err == nil:
			sent++
			bytes += len(d.B)
		case t.isClosed(err):
			return sent, net.ErrClosed
		default:
			out[i].TooLong = isTooLong(err)
			lost++
		}
	}
	return sent, nil
}
