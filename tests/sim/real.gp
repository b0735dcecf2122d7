# SPDX-License-Identifier: GPL-2.0-or-later
# Sizes in the simulator and in VMs, one panel a class.
# gnuplot -e "csv='...'" -e "svg='...'" -e "names='vm0/web ...'" real.gp
set terminal svg size 1000,700 font 'sans,10' background 'white'
set output svg
set datafile separator ','
set xtics 60
set border 3
set tics nomirror
set key top left samplen 1
set yrange [0:*]
rows(kind, cls) = sprintf("< grep '^%d,%d,' '%s'", kind, cls, csv)
set multiplot layout 3,3
do for [i=0:8] {
	set title word(names, i + 1)
	if (i % 3 == 0) { set ylabel 'MiB' } else { unset ylabel }
	if (i >= 6) { set xlabel 'seconds' } else { unset xlabel }
	if (i > 0) { unset key }
	plot rows(0, i) using 3:4 with lines lc rgb '#999999' title 'needed', \
	     rows(1, i) using 3:4 with steps lw 1.5 lc rgb '#1f77b4' title 'size, simulated', \
	     rows(2, i) using 3:4 with steps lw 1.5 lc rgb '#d62728' title 'size, in a VM'
}
unset multiplot
