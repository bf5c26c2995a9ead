package buffer

// An Owner has memory that it lends, to one at a time.
type Owner interface {
	// TakeBack ends the loan of that turn. One that is over already is left alone.
	TakeBack(turn uint64)
}

// A Loan is memory that its owner has lent until it is given back. A copy of a Loan is the same loan; the zero value is
// one of nothing. It is safe for concurrent use.
type Loan struct {
	of   Owner
	turn uint64 // the owner's number of the loan: it lends the same memory again and again
}

// Lend is the loan of that turn.
func Lend(of Owner, turn uint64) Loan { return Loan{of, turn} }

// GiveBack ends the loan. A second time it does nothing, also where the memory was lent to somebody else meanwhile.
func (l Loan) GiveBack() {
	if l.of != nil {
		l.of.TakeBack(l.turn)
	}
}
