# SPDX-License-Identifier: GPL-2.0-or-later
# One run of pzoned_sim: memory above, resizes and the cost of a round below.
# gnuplot -e "csv='...'" -e "svg='...'" plot.gp
set terminal svg size 900,640 font 'sans,13' background 'white'
set output svg
set datafile separator ','
set key outside right
set grid
set multiplot layout 2,1
set title 'Memory of the host'
set ylabel 'TiB'
set yrange [0:*]
set xlabel 'seconds'
tib = 1024.0 * 1024.0
plot csv skip 1 using 1:($4/tib) with lines lw 2 dt 2 title 'budget', \
     csv skip 1 using 1:($3/tib) with lines lw 2 title 'held by classes', \
     csv skip 1 using 1:($2/tib) with lines lw 2 title 'needed', \
     csv skip 1 using 1:($5/tib) with lines lw 2 title 'lacking'
set title 'Work of the policy'
set ylabel 'resizes per second'
set y2label 'ms per round'
set ytics nomirror
set y2tics
set y2range [0:*]
plot csv skip 1 using 1:6 with lines title 'resizes', \
     csv skip 1 using 1:($9/1000) axes x1y2 with lines title 'CPU ms'
unset multiplot
